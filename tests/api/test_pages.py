"""Pages of users, projects and API tokens: `cursor` misses nobody, and `skip` stays (rules: The API)."""

import httpx
import pytest

from app.core.pagination import encode_cursor
from tests.support.credentials import create_api_token
from tests.support.times import refusal

NAMES = ("Bob", "Cem", "Dan", "Eva", "Fay")
LISTS = (
    "/admin/users",
    "/admin/users?is_active=true",
    "/team",
    "/projects",
    "/admin/projects",
    "/members",
    "/admin/api-tokens",
)


@pytest.fixture(params=LISTS)
def path(request, server, people, ada, mia):
    """Return the path of a list with at least five items."""
    users = [people.employee(name, manager=mia) for name in NAMES]
    for name in NAMES:
        people.project(name)
    intranet = people.project("Intranet", members=tuple(users))
    for user in users:
        create_api_token(server.database, user, "entries:read")
    return f"/admin/projects/{intranet.id}/members" if request.param == "/members" else request.param


def read_pages(client, path, **params):
    """Return the ids of each page, following Link to the last one."""
    page = client.get(path, params=dict(part.split("=") for part in path.partition("?")[2].split("&") if part) | params)
    pages = []
    while True:
        pages.append([item["id"] for item in page.json()])
        if "next" not in page.links:
            return pages
        page = client.at_root("GET", page.links["next"]["url"])


@pytest.mark.parametrize("start", [{}, {"skip": 1}], ids=["cursor", "skip"])
def test_the_pages_hold_each_item_once_in_the_order_of_their_ids(admin, path, start):
    (everything,) = read_pages(admin, path)

    pages = read_pages(admin, path, limit=2, **start)

    assert everything == sorted(everything)
    assert [item for page in pages for item in page] == everything[start.get("skip", 0) :]
    assert [len(page) for page in pages[:-1]] == [2] * (len(pages) - 1)
    assert pages[-1] != []


def test_the_total_is_the_same_on_every_page(admin, path):
    first = admin.get(path, params={"limit": 2})
    second = admin.at_root("GET", first.links["next"]["url"])

    assert "cursor=" in first.headers["Link"]
    assert first.headers["X-Total-Count"] == second.headers["X-Total-Count"]


def test_a_client_that_skips_goes_on_skipping(admin, path):
    link = admin.get(path, params={"limit": 2, "skip": 1}).headers["Link"]

    assert "skip=3" in link
    assert "cursor=" not in link


def test_a_client_that_always_sends_the_default_of_skip_follows_the_cursor(admin, path):
    """Swagger UI and generated clients send it, because the document names it."""
    first = admin.get(path, params={"limit": 2, "skip": 0})
    cursor = dict(httpx.URL(first.links["next"]["url"]).params)

    second = admin.get(path, params=cursor | {"skip": 0})

    assert cursor.keys() >= {"cursor", "limit"}
    assert "skip" not in cursor
    assert second.json() == admin.get(path, params={"limit": 2, "skip": 2}).json()


def test_a_user_who_is_deactivated_between_two_pages_makes_no_other_one_disappear(people, admin):
    bob, cem, dan, eva = (people.employee(name) for name in NAMES[:4])
    active_employees = {"is_active": True, "role": "employee", "limit": 2}

    first = admin.get("/admin/users", params=active_employees)
    admin.put(f"/admin/users/{bob.id}/deactivate")
    second = admin.at_root("GET", first.links["next"]["url"])

    assert [user["id"] for page in (first, second) for user in page.json()] == [bob.id, cem.id, dan.id, eva.id]


def test_a_cursor_and_a_number_to_skip_contradict_each_other(admin, path):
    refused = admin.get(path, params={"cursor": encode_cursor(1), "skip": 1})

    assert refusal(refused) == (422, "invalid_cursor")


@pytest.mark.parametrize("cursor", [encode_cursor(2**53), encode_cursor(2**31 - 1)])
def test_a_cursor_behind_the_last_item_is_an_empty_page(admin, path, cursor):
    assert admin.get(path, params={"cursor": cursor}).json() == []


@pytest.mark.parametrize("cursor", [encode_cursor(1, 2), encode_cursor(-1), encode_cursor(), "nonsense", "W10"])
def test_a_cursor_of_another_list_is_422(admin, cursor):
    for each in ("/admin/users", "/projects"):
        assert refusal(admin.get(each, params={"cursor": cursor})) == (422, "invalid_cursor")

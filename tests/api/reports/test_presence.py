"""Presence: the users who are clocked in now (rules: E1, E5, T7, V1 to V3; threats 1 to 4, 26)."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.models.tables import ENTRY, USER
from app.schemas.reports.presence import PresenceFilter
from app.services.access.actor import Actor
from app.services.reports import presence
from tests.api.conftest import VISIBLE_TO
from tests.support.factories import instant
from tests.support.query_counter import capture_statements
from tests.support.times import hours_ago_utc


def clocked_in(caller, **params):
    response = caller.get("/reports/presence", params=params)
    assert response.status_code == 200, response.text
    return response.json()


def names(caller, **params):
    return [each["user_name"].partition(" ")[0] for each in clocked_in(caller, **params)]


@pytest.fixture
def company(people, staff, website):
    """A company whose users are all clocked in, each since a different hour."""
    for number, user in enumerate(staff.values(), start=1):
        people.entry(user, website, hours_ago_utc(number), None)
    return staff


def test_mia_sees_who_is_at_work_on_what_and_since_when(people, as_user, mia, website):
    ana = people.employee("Ana", manager=mia, time_zone="Asia/Tokyo")
    people.entry(people.employee("Eve", manager=mia), website, hours_ago_utc(9), hours_ago_utc(1))
    entry = people.entry(ana, website, hours_ago_utc(2), None, description="Landing page")

    response = as_user(mia).get("/reports/presence")

    (of_ana,) = response.json()
    as_of, start = (datetime.fromisoformat(text) for text in (response.headers["X-As-Of"], of_ana["start_time"]))
    assert start == instant(hours_ago_utc(2))
    assert of_ana["elapsed_seconds"] == int((as_of - start).total_seconds()) >= 7200
    assert {name: value for name, value in of_ana.items() if name not in {"start_time", "elapsed_seconds"}} == {
        "user_id": ana.id,
        "user_name": "Ana Silva",
        "entry_id": entry,
        "project_id": website.id,
        "project_name": "Website",
        "description": "Landing page",
        "time_zone": "Asia/Tokyo",
        "needs_review": False,
    }


def test_who_clocks_in_appears_and_who_clocks_out_or_is_deactivated_is_gone(people, as_user, mia, ana, ada, website):
    bob = people.employee("Bob", manager=mia)
    for user in (ana, bob):
        assert as_user(user).clock_in(website.id).status_code == 200
    assert names(as_user(mia)) == ["Ana", "Bob"]

    as_user(ana).clock_out()
    assert names(as_user(mia)) == ["Bob"]
    as_user(ada).put(f"/admin/users/{bob.id}/deactivate")
    assert names(as_user(mia)) == []


def test_what_needs_review_comes_first_then_who_came_first(people, as_user, mia, website):
    staff = {name: people.employee(name, manager=mia) for name in ("Ana", "Bob", "Eve", "Kim", "Zoe")}
    people.entry(staff["Ana"], website, hours_ago_utc(2), None)
    people.entry(staff["Bob"], website, hours_ago_utc(1), None, needs_review=True)
    people.entry(staff["Eve"], website, hours_ago_utc(3), None)
    people.entry(staff["Kim"], website, hours_ago_utc(2), None)
    people.entry(staff["Zoe"], website, hours_ago_utc(17), None)

    seen = clocked_in(as_user(mia))

    assert [(each["user_name"][:3], each["needs_review"]) for each in seen] == [
        ("Zoe", True),
        ("Bob", True),
        ("Eve", False),
        ("Ana", False),
        ("Kim", False),
    ]
    reviewed = as_user(mia).get("/time-entries", params={"needs_review": True}).json()
    assert {entry["user_id"] for entry in reviewed} == {staff["Zoe"].id, staff["Bob"].id}


def test_everybody_sees_those_whom_they_may_see(as_user, server, company):
    for name, expected in VISIBLE_TO.items():
        caller = as_user(company[name])
        with server.database.read_transaction() as session:
            of_them = ENTRY.c.user_id.in_([company[each].id for each in expected])
            entries = set(session.execute(select(ENTRY.c.id).where(of_them)).scalars())
        assert {each["entry_id"] for each in clocked_in(caller)} == entries
        assert {entry["id"] for entry in caller.get("/time-entries", params={"open": True}).json()} == entries


def test_filters_only_narrow(people, as_user, company):
    ana, mia, max_ = (as_user(company[name]) for name in ("Ana", "Mia", "Max"))
    app = people.project("App")
    people.entry(people.employee("Zoe", manager=company["Mia"]), app, hours_ago_utc(6), None)

    assert names(mia, team_id=company["Mia"].id) == ["Zoe", "Ana", "Bo"]
    assert names(mia, team_id=company["Bo"].id) == ["Eve"]
    assert names(mia, project_id=app.id) == ["Zoe"]
    assert names(mia, project_id=app.id, team_id=company["Bo"].id) == []
    assert names(mia, team_id=company["Max"].id) == names(max_, team_id=company["Mia"].id) == []
    assert names(ana, team_id=company["Mia"].id) == ["Ana"]
    assert names(ana, project_id=2_000_000_000) == []


def test_a_person_who_moves_is_seen_by_the_new_manager_only(as_user, server, company):
    with server.database.write_transaction() as session:
        moved = update(USER).where(USER.c.id == company["Eve"].id).values(manager_id=company["Max"].id)
        session.execute(moved)

    assert "Eve" not in names(as_user(company["Mia"]))
    assert names(as_user(company["Max"])) == ["Bob", "Eve", "Max"]


def test_pages_follow_on_one_another(as_user, company):
    ada = as_user(company["Ada"])
    whole = names(ada)
    pages, url = [], "/reports/presence?limit=2"

    while url:
        response = ada.get(url.removeprefix("/api/v1"))
        pages.append([each["user_name"].partition(" ")[0] for each in response.json()])
        url = response.links.get("next", {}).get("url")

    assert whole == ["Bob", "Eve", "Ana", "Max", "Bo", "Ada", "Mia"]
    assert pages == [["Bob", "Eve"], ["Ana", "Max"], ["Bo", "Ada"], ["Mia"]]


def test_an_entry_that_grows_stale_between_two_pages_is_shown_once(people, database, mia, website):
    """Bob's entry is flagged for review. Zoe's entry becomes stale after the first page.

    With the present time instead of the cursor's, it would move before Bob's entry.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    staff = {name: people.employee(name, manager=mia) for name in ("Ana", "Bob", "Kim", "Zoe")}
    stale_in_a_second = now - timedelta(hours=16)
    for name, start, marked in (
        ("Ana", now - timedelta(hours=20), False),
        ("Bob", now - timedelta(hours=1), True),
        ("Zoe", stale_in_a_second, False),
        ("Kim", now - timedelta(hours=2), False),
    ):
        people.entry(staff[name], website, start.strftime("%Y-%m-%d %H:%M:%S"), None, needs_review=marked)
    actor, cursor, seen, at = Actor(mia.id, mia.role, "UTC"), None, [], now

    for _ in range(4):
        with database.read_transaction() as session:
            (one,), cursor = presence.list_clocked_in(session, actor, PresenceFilter(), cursor=cursor, limit=1, at=at)
        seen.append((one.user_name[:3], one.needs_review, one.elapsed_seconds))
        at += timedelta(minutes=1)

    assert cursor is None
    assert seen == [
        ("Ana", True, 72000),
        ("Bob", True, 3600 + 60),
        ("Zoe", False, 16 * 3600 + 120),
        ("Kim", False, 7200 + 180),
    ]


def test_nobody_was_at_work_for_less_than_no_time(people, database, mia, website):
    people.entry(mia, website, "2026-03-02 08:00:03", None)
    actor = Actor(mia.id, mia.role, "UTC")

    with database.read_transaction() as session:
        at = instant("2026-03-02 08:00:00")  # the clock is behind that of the server that stored the entry
        (one,), _ = presence.list_clocked_in(session, actor, PresenceFilter(), cursor=None, limit=1, at=at)

    assert one.elapsed_seconds == 0


def test_what_cannot_be_meant_is_refused(as_user, mia):
    cases = [
        ({"limit": 0}, "validation_failed"),
        ({"limit": 1001}, "validation_failed"),
        ({"team_id": 0}, "validation_failed"),
        ({"project_id": 2**31}, "validation_failed"),
        ({"cursor": "not a cursor"}, "validation_failed"),
        ({"cursor": "bm9uZQ"}, "invalid_cursor"),
        ({"cursor": "WzEsMiwzXQ"}, "invalid_cursor"),  # [1,2,3]
    ]

    responses = [as_user(mia).get("/reports/presence", params=params) for params, _ in cases]

    assert [(each.status_code, each.json()["code"]) for each in responses] == [(422, code) for _, code in cases]


def test_it_takes_one_statement_whatever_the_number_of_people(people, as_user, server, company, website):
    counts = []
    for name, size in (("Ana", 1), ("Ada", 7)):
        caller = as_user(company[name])
        with capture_statements(server) as sent:
            assert len(clocked_in(caller)) == size
        counts.append(len([each for each in sent if each != "BEGIN"]))

    assert counts == [2, 2]  # one statement for authentication, one for the response

"""Names with invisible characters: what is rejected, what counts as equal, and names that version 0.9 stored (J1)."""

import pytest
from sqlalchemy import select, update

from app.models.tables import API_TOKEN, ENTRY, PROJECT, USER
from app.services.audit.verification import verify
from tests.support.times import hours_ago, refusal, two_hour_entry

IGNORED = ["\u3164", "\u034f", "\ufe0f", "\u2800", "\u115f", "\uffa0", "\U000e0100", "\U0001d159"]
REJECTED = ["\u200d", "\u200c", "\u061c", "\u180e", "\U000e0041", "\U0001d173", "\u202e", "\u2066", "\ufff9"]
BLANKS = ["  ", " \u00a0", "\u00a0", "\u1680", "\u3000 \u2003", " \u3164 "]
BLANK = ["\u3164", "\u2800\u2800", " \u034f", "\ufe0f"]
PERSIAN = "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"
HEADER = "email,first_name,last_name,role,manager_email,time_zone"


def token(name):
    return {"name": name, "scopes": ["entries:read"], "expires_at": hours_ago(-24)}


@pytest.mark.parametrize("character", IGNORED)
def test_an_ignored_character_makes_no_other_project(people, admin, character):
    people.project("P1")
    other = people.project("Other")

    answers = [
        admin.post("/admin/projects", json={"name": name}) for name in (f"P1{character}", f"{character}p{character}1")
    ]
    answers.append(admin.patch(f"/admin/projects/{other.id}", json={"name": f"P1{character}"}))

    assert list(map(refusal, answers)) == [(409, "project_name_taken")] * 3


@pytest.mark.parametrize("blanks", BLANKS)
def test_more_blanks_between_two_words_make_no_other_project(people, admin, blanks):
    people.project("Web site")
    other = people.project("Other")

    answers = [
        admin.post("/admin/projects", json={"name": f"Web{blanks}site"}),
        admin.patch(f"/admin/projects/{other.id}", json={"name": f"web{blanks}Site"}),
    ]

    assert list(map(refusal, answers)) == [(409, "project_name_taken")] * 2


def test_a_name_is_found_with_any_number_of_blanks_and_stays_as_it_was_typed(people, admin):
    people.employee("Ali", first_name="Ana  Maria")
    people.project("Web   site")

    for search in ("a maria", "ANA    MARIA", "Ana\u2003\u2003Maria"):
        users = admin.get("/admin/users", params={"search": search}).json()
        assert [user["first_name"] for user in users] == ["Ana  Maria"]
    assert [each["name"] for each in admin.get("/admin/projects", params={"search": "web site"}).json()] == [
        "Web   site"
    ]


@pytest.mark.parametrize("name", ["\U000323b0", "\U0001fae8 shop 1"], ids=["Han of Unicode 15", "emoji of Unicode 15"])
def test_a_letter_that_is_newer_than_this_python_is_accepted_in_a_name(admin, ana, name):
    assert admin.post("/admin/projects", json={"name": f"{name} 1"}).json()["name"] == f"{name} 1"
    assert admin.patch(f"/admin/users/{ana.id}", json={"last_name": name}).json()["last_name"] == name


@pytest.mark.parametrize("character", REJECTED)
def test_a_format_control_is_rejected_in_every_name(people, admin, ana, website, as_user, character):
    name, entry = f"P{character}1", two_hour_entry(website, user_id=ana.id, reason=f"On{character}paper")
    answers = [
        admin.post("/admin/projects", json={"name": name}),
        admin.patch(f"/admin/projects/{website.id}", json={"name": name}),
        admin.patch(f"/admin/users/{ana.id}", json={"last_name": name}),
        as_user(ana).patch("/auth/me", json={"first_name": name}),
        as_user(ana).post("/auth/api-tokens", json=token(name)),
        admin.post("/time-entries", json=entry),
        admin.get("/admin/users", params={"search": name}),
    ]

    assert list(map(refusal, answers)) == [(422, "validation_failed")] * 7


@pytest.mark.parametrize("name", BLANK)
def test_a_name_that_nobody_can_see_is_rejected(admin, ana, website, as_user, name):
    answers = [
        admin.post("/admin/projects", json={"name": name}),
        admin.patch(f"/admin/users/{ana.id}", json={"last_name": name}),
        as_user(ana).post("/auth/api-tokens", json=token(name)),
        admin.get("/admin/projects", params={"search": name}),
        admin.post("/time-entries", json=two_hour_entry(website, user_id=ana.id, reason=name)),
    ]

    assert list(map(refusal, answers)) == [(422, "validation_failed")] * 5


def test_projects_and_tokens_have_a_letter_or_a_digit_and_people_may_have_one_name_only(admin, ana, as_user):
    answers = [
        admin.post("/admin/projects", json={"name": "\U0001f680"}),
        as_user(ana).post("/auth/api-tokens", json=token("--")),
        admin.patch(f"/admin/users/{ana.id}", json={"last_name": "-"}),
        admin.post("/admin/projects", json={"name": "\U0001f680 1"}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 200, 201]


def test_a_name_is_found_with_and_without_the_joiner_that_it_needs(people, admin):
    people.employee("Ali", first_name=PERSIAN)
    people.project(PERSIAN)

    for search in (PERSIAN, PERSIAN.replace("\u200c", "")):
        assert [user["first_name"] for user in admin.get("/admin/users", params={"search": search}).json()] == [PERSIAN]
        assert [each["name"] for each in admin.get("/admin/projects", params={"search": search}).json()] == [PERSIAN]


@pytest.mark.parametrize("character", ["\u3164", "\u034f", "\ufe0f", "\u2800", "\u200d", "\u061c"])
def test_an_email_has_no_invisible_character_before_the_at(admin, ana, character):
    email = f"b{character}ob@example.com"
    person = {"email": email, "first_name": "Bob", "last_name": "Silva", "role": "employee"}
    file = f"{HEADER}\r\n{email},Bob,Silva,employee,,\r\n"
    answers = [
        admin.post("/admin/users", json=person),
        admin.patch(f"/admin/users/{ana.id}", json={"email": email}),
        admin.post("/admin/users/import", content=file.encode(), headers={"Content-Type": "text/csv"}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 422]


def test_an_export_of_an_earlier_version_is_imported_without_the_controls_that_it_has(server, admin):
    bob, ali = "bob@example.com,Bob\u200d,\u061cSil\U000e0041va", f"ali@example.com,{PERSIAN},-"
    file = f"{HEADER}\r\n{bob},employee,,\r\n{ali},employee,,\r\n"

    imported = admin.post("/admin/users/import", content=file.encode(), headers={"Content-Type": "text/csv"})

    assert imported.status_code == 200
    with server.database.read_transaction() as session:
        names = session.execute(select(USER.c.first_name, USER.c.last_name).order_by(USER.c.id)).all()
    assert names[-2:] == [("Bob", "Silva"), (PERSIAN, "-")]


def test_an_import_names_the_line_of_a_name_that_nobody_can_see(admin):
    file = f"{HEADER}\r\nbob@example.com,\u3164,Silva,employee,,\r\n"

    refused = admin.post("/admin/users/import", content=file.encode(), headers={"Content-Type": "text/csv"})

    assert [error["loc"] for error in refused.json()["errors"]] == [["line", 2, "first_name"]]


def test_a_description_keeps_no_control_that_reorders_the_text_beside_it(ana, website, as_user):
    me = as_user(ana)

    entry = me.clock_in(website.id, description="Call \u202a+49 30\u202c \u202eevil \u200f!").json()
    changed = me.patch(f"/time-entries/{entry['id']}", json={"description": "\u2067new"}).json()

    assert (entry["description"], changed["description"]) == ("Call +49 30 evil \u200f!", "new")


class TestStoredNames:
    """Names and descriptions that version 0.9 accepted, with the keys that it stored."""

    @pytest.fixture
    def stored(self, people, server, ana, website, as_user):
        twin, blank = people.project("Twin"), people.project("Blank")
        token_id = as_user(ana).post("/auth/api-tokens", json=token("Terminal")).json()["id"]
        entry_id = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 10:00", description="\u202eevil")
        with server.database.write_transaction() as session:
            for project, name in ((twin, "Website\u3164"), (blank, "\u2800")):
                change = update(PROJECT).where(PROJECT.c.id == project.id)
                session.execute(change.values(name=name, name_key=name.lower().replace("\u3164", "\u1160")))
            names = {"first_name": "\u200dAna", "last_name": "\u3164", "email": "ana\u3164@example.com"}
            names["email_key"] = "ana\u1160@example.com"
            session.execute(update(USER).where(USER.c.id == ana.id).values(names))
            session.execute(update(API_TOKEN).where(API_TOKEN.c.id == token_id).values(name="\u3164"))
            session.execute(update(ENTRY).where(ENTRY.c.id == entry_id).values(description="\u202eevil"))
        return {"twin": twin.id, "blank": blank.id, "entry": entry_id}

    def test_they_are_read(self, stored, admin, ana, mia, as_user):
        me, march = as_user(ana), {"start_date": "2026-03-01", "end_date": "2026-03-31"}

        assert me.get("/auth/me").json()["first_name"] == "\u200dAna"
        assert me.get(f"/time-entries/{stored['entry']}").json()["description"] == "\u202eevil"
        assert [each["name"] for each in me.get("/auth/api-tokens").json()] == ["\u3164"]
        names = [each["name"] for each in admin.get("/admin/projects").json()]
        assert sorted(names) == ["Website", "Website\u3164", "\u2800"]
        for caller, path in (
            (me, "/auth/me/export"),
            (me, "/projects"),
            (as_user(mia), "/team"),
            (admin, f"/admin/users/{ana.id}"),
            (admin, "/admin/users"),
            (admin, "/admin/users/export/csv"),
            (admin, f"/admin/projects/{stored['twin']}"),
        ):
            assert caller.get(path).status_code == 200
        for path in ("/reports/team", "/reports/export/csv", "/time-entries/me", "/reports/summary"):
            caller = me if path == "/time-entries/me" else as_user(mia)
            assert caller.get(path, params=march | {"group_by": "project"}).status_code == 200

    def test_their_other_fields_are_changed(self, stored, admin, ana, as_user):
        """A form may send the unchanged name along, if the name is one that is still accepted."""
        answers = [
            admin.patch(f"/admin/projects/{stored['blank']}", json={"is_active": False}),
            admin.patch(f"/admin/projects/{stored['twin']}", json={"is_active": False, "name": "Website\u3164"}),
            admin.patch(f"/admin/users/{ana.id}", json={"time_zone": "Europe/Berlin"}),
            as_user(ana).patch("/auth/me", json={"last_name": "Silva"}),
            as_user(ana).patch(f"/time-entries/{stored['entry']}", json={"needs_review": False}),
        ]

        assert [answer.status_code for answer in answers] == [200] * 5

    def test_one_of_two_twins_is_renamed(self, stored, admin):
        path = f"/admin/projects/{stored['twin']}"

        answers = [admin.patch(path, json={"name": name}) for name in ("Website", "Website 2")]

        assert [answer.status_code for answer in answers] == [409, 200]

    def test_they_log_in_with_the_email_that_is_stored(self, stored, anonymous):
        form = {"username": "ana\u3164@example.com", "password": "violet-harbour-42-lantern"}

        assert anonymous.post("/auth/login", data=form).status_code == 200


def test_keys_of_version_0_9_are_no_fault_of_the_audit_log(people, server):
    ana, shop = people.employee("Ana", first_name=PERSIAN), people.project(PERSIAN)
    with server.database.write_transaction() as session:
        session.execute(update(PROJECT).where(PROJECT.c.id == shop.id).values(name_key=PERSIAN))
        session.execute(update(USER).where(USER.c.id == ana.id).values(name_key=f"{PERSIAN} silva"))

    with server.database.read_transaction() as session:
        verify(session, [], on_progress=lambda done, total: None)

"""Scope of summaries: visible users, empty groups and rejected queries (rules: V1 to V3; threats 1 to 4, 18 to 22)."""

import pytest
from sqlalchemy import insert, select, update

from app.models.tables import ENTRY, USER
from app.services.reports import summary
from tests.api.conftest import VISIBLE_TO
from tests.support.factories import instant, password_hash

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
HOUR = 3600


def rows(caller, *groups, **params):
    response = caller.get("/reports/summary", params=MARCH | params | {"group_by": groups})
    assert response.status_code == 200, response.text
    return response.json()["rows"]


def names(caller, **params):
    return [row["user_name"].partition(" ")[0] for row in rows(caller, "user", **params)]


def refusal(caller, **params):
    response = caller.get("/reports/summary", params=MARCH | {"group_by": "user"} | params)
    return response.status_code, response.json().get("code", "")


@pytest.fixture
def company(people, staff, website):
    """A company whose users each have an entry of one hour."""
    for user in staff.values():
        people.entry(user, website, "2026-03-02 08:00", "2026-03-02 09:00")
    return staff


def test_everybody_sees_the_hours_of_those_whom_they_may_see(as_user, server, company):
    for name, expected in VISIBLE_TO.items():
        caller = as_user(company[name])
        ids = {company[each].id for each in expected}
        with server.database.read_transaction() as session:
            entries = set(session.execute(select(ENTRY.c.id).where(ENTRY.c.user_id.in_(ids))).scalars())
        for more in ({}, {"attribution": "split"}, {"fill": True}):
            assert {row["user_id"] for row in rows(caller, "user", **more)} == ids
        assert {user["id"] for user in caller.get("/team").json()} == ids
        assert {entry["id"] for entry in caller.get("/time-entries").json()} == entries
        (on_website,) = rows(caller, "project")
        assert (on_website["entries"], on_website["users"]) == (len(entries), len(ids))


def test_filters_only_narrow(as_user, company):
    ana, mia, max_, ada = (as_user(company[name]) for name in ("Ana", "Mia", "Max", "Ada"))
    bob, eve = company["Bob"].id, company["Eve"].id

    assert names(ana, user_id=company["Ana"].id) == ["Ana"]
    assert names(ana, user_id=bob) == names(ana, user_id=2_000_000_000) == []
    assert names(mia, user_id=eve) == ["Eve"]
    assert names(mia, user_id=bob) == names(mia, team_id=company["Max"].id) == names(max_, user_id=eve) == []
    assert names(mia, user_id=bob, fill=True) == names(mia, team_id=company["Max"].id, fill=True) == []
    assert names(mia, team_id=company["Mia"].id) == ["Bo", "Ana"]
    assert names(ada, team_id=company["Max"].id) == ["Bob"]
    assert names(ana, team_id=company["Mia"].id) == ["Ana"]
    assert names(mia, team_id=company["Mia"].id, user_id=eve) == []


@pytest.mark.parametrize("attribution", ["start", "split"])
def test_one_project_is_asked_for_by_its_id(people, as_user, ana, website, attribution):
    people.entry(ana, people.project("App"), "2026-03-03 08:00", "2026-03-04 09:00")
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")

    on_website = rows(as_user(ana), "day", project_id=website.id, attribution=attribution)

    assert [(row["day"], row["total_seconds"]) for row in on_website] == [("2026-03-02", HOUR)]
    assert rows(as_user(ana), "day", project_id=2_000_000_000, attribution=attribution) == []


def test_a_person_who_moves_takes_their_hours_along(as_user, server, company):
    mia, max_ = as_user(company["Mia"]), as_user(company["Max"])
    assert "Eve" in names(mia)
    with server.database.write_transaction() as session:
        moved = update(USER).where(USER.c.id == company["Eve"].id).values(manager_id=company["Max"].id)
        session.execute(moved)

    assert names(mia) == ["Mia", "Bo", "Ana"]
    assert names(mia, user_id=company["Eve"].id) == []
    assert names(max_) == ["Max", "Eve", "Bob"]
    assert [(row["team_name"], row["users"]) for row in rows(max_, "team")] == [("Max Silva", 2), (None, 1)]


def test_teams_are_their_managers_direct_reports_and_people_without_one_come_last(as_user, company):
    teams = rows(as_user(company["Ada"]), "team", "user")

    assert [(row["team_name"], row["team_id"], row["user_name"][:3]) for row in teams] == [
        ("Mia Silva", company["Mia"].id, "Bo "),
        ("Mia Silva", company["Mia"].id, "Ana"),
        ("Bo Silva", company["Bo"].id, "Eve"),
        ("Max Silva", company["Max"].id, "Bob"),
        (None, None, "Mia"),
        (None, None, "Ada"),
        (None, None, "Max"),
    ]
    assert [row["team_name"] for row in rows(as_user(company["Ana"]), "team")] == ["Mia Silva"]


def test_a_circle_of_managers_forced_into_the_table_still_ends(as_user, server, company):
    with server.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == company["Mia"].id).values(manager_id=company["Bo"].id))

    assert names(as_user(company["Mia"])) == names(as_user(company["Bo"])) == ["Mia", "Bo", "Ana", "Eve"]


# Empty groups (`fill`)


def test_every_day_of_the_period_is_there_on_request(people, as_user, ana, website):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")
    days = {"start_date": "2026-03-01", "end_date": "2026-03-03", "fill": True}

    filled = rows(as_user(ana), "day", **days)
    weeks = rows(as_user(ana), "month", "week", **MARCH | {"fill": True})
    weekdays = rows(as_user(ana), "weekday", **days)

    none = {"needs_review_seconds": 0}
    assert filled == [
        {"day": "2026-03-01", "total_seconds": 0, "total_hours": 0.0, **none, "entries": 0, "users": 0},
        {"day": "2026-03-02", "total_seconds": HOUR, "total_hours": 1.0, **none, "entries": 1, "users": 1},
        {"day": "2026-03-03", "total_seconds": 0, "total_hours": 0.0, **none, "entries": 0, "users": 0},
    ]
    assert [(row["month"], row["week"]) for row in weeks] == [("2026-03", f"2026-W{week:02}") for week in range(9, 15)]
    assert [(row["weekday"], row["entries"]) for row in weekdays] == [(1, 1), (2, 0), (7, 0)]


def test_active_people_with_their_own_team_and_active_projects_are_filled_in(people, as_user, mia, ana, website):
    people.employee("Dan", manager=mia, is_active=False)
    gone = people.employee("Gil", manager=mia, is_active=False)
    old, app = people.project("Old", is_active=False), people.project("App")
    people.entry(gone, old, "2026-03-02 08:00", "2026-03-02 09:00")

    filled = rows(as_user(mia), "team", "user", "project", fill=True)

    assert [(row["team_name"], row["user_name"][:3], row["project_name"], row["entries"]) for row in filled] == [
        ("Mia Silva", "Ana", "Website", 0),
        ("Mia Silva", "Ana", "App", 0),
        ("Mia Silva", "Gil", "Old", 1),
        (None, "Mia", "Website", 0),
        (None, "Mia", "App", 0),
    ]
    assert [row["project_id"] for row in rows(as_user(mia), "project", fill=True, project_id=app.id)] == [app.id]
    assert rows(as_user(mia), "team", fill=True, user_id=ana.id)[0]["team_id"] == mia.id


def test_projects_that_only_others_may_book_are_not_filled_in(people, as_user, mia, ana, ada, bob, website):
    people.project("Bob's", members=(bob,))
    people.project("Ana's", members=(ana,))

    def projects(user):
        return [row["project_name"] for row in rows(as_user(user), "project", fill=True)]

    assert projects(ana) == projects(mia) == ["Website", "Ana's"]
    assert projects(bob) == ["Website", "Bob's"]
    assert projects(ada) == ["Website", "Bob's", "Ana's"]


# Rejected queries


def test_what_cannot_be_meant_is_refused(as_user, mia):
    me = as_user(mia)
    cases = [
        ({"group_by": []}, "validation_failed"),
        ({"group_by": "shoe_size"}, "validation_failed"),
        ({"group_by": ""}, "validation_failed"),
        ({"group_by": ["user", "user"]}, "validation_failed"),
        ({"group_by": "user,day,user"}, "validation_failed"),
        ({"group_by": ["user", "team", "project", "day"]}, "validation_failed"),
        ({"group_by": ["user", "team,project,day"]}, "validation_failed"),
        ({"user_id": 0}, "validation_failed"),
        ({"team_id": 2**31}, "validation_failed"),
        ({"project_id": "x"}, "validation_failed"),
        ({"fill": "perhaps"}, "validation_failed"),
        ({"attribution": "thirds"}, "validation_failed"),
        ({"time_zone": "Mars/Olympus"}, "validation_failed"),
        ({"start_date": "1999-12-31"}, "validation_failed"),
        ({"start_date": "2026-03-31", "end_date": "2026-03-01"}, "period_reversed"),
        ({"start_date": "2025-01-01", "end_date": "2026-02-05"}, "period_too_long"),
    ]

    assert [refusal(me, **params) for params, _ in cases] == [(422, code) for _, code in cases]
    assert refusal(me, start_date="2025-01-01", end_date="2026-02-04", group_by="day,week,month") == (200, "")


def test_groups_may_be_given_in_one_value_with_commas(people, as_user, ana, website):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")

    in_one = rows(as_user(ana), "user,project", "month")

    assert in_one == rows(as_user(ana), "user", "project", "month")
    assert [name for name in in_one[0] if name not in {"user_name", "project_name"}][:3] == [
        "user_id",
        "project_id",
        "month",
    ]


def test_more_rows_than_a_hundred_thousand_are_refused(as_user, server, ada, website):
    _insert_users(server, 251)
    me = as_user(ada)
    days = {"start_date": "2025-01-01", "end_date": "2026-02-04", "fill": True}

    assert refusal(me, **days, group_by=["user", "day"]) == (422, "summary_too_large")
    assert refusal(me, **days, group_by=["user", "month"]) == (200, "")


def test_rows_that_have_hours_count_too(as_user, server, ada, website, monkeypatch):
    monkeypatch.setattr(summary, "MAX_ROWS", 10)
    _insert_users(server, 11)
    with server.database.write_transaction() as session:
        ids = list(session.execute(select(USER.c.id).where(USER.c.id != ada.id)).scalars())
        session.execute(update(USER).where(USER.c.id.in_(ids)).values(is_active=False))
        start = instant("2026-03-02 08:00")
        times = {"start_time": start, "end_time": start, "created_at": start, "updated_at": start}
        values = times | {"project_id": website.id, "description": "", "time_zone": "UTC", "needs_review": False}
        session.execute(insert(ENTRY), [values | {"user_id": user_id, "version": 1} for user_id in ids[:10]])
    me = as_user(ada)

    assert len(rows(me, "user")) == 10
    assert refusal(me, fill=True) == (422, "summary_too_large")  # Ada has no hours, and is the eleventh row
    with server.database.write_transaction() as session:
        session.execute(insert(ENTRY), values | {"user_id": ids[10], "version": 1})
    assert refusal(me) == (422, "summary_too_large")
    assert len(rows(me, "project")) == 1


def _insert_users(server, count):
    """Insert `count` similar users with one statement."""
    user = {"first_name": "Kim", "last_name": "Silva", "name_key": "kim silva", "password_hash": password_hash()}
    user |= {"role": "employee", "is_active": True, "time_zone": "UTC", "created_at": instant("2026-01-01 08:00")}
    emails = [f"kim{number}@example.com" for number in range(count)]
    with server.database.write_transaction() as session:
        session.execute(insert(USER), [user | {"email": email, "email_key": email} for email in emails])

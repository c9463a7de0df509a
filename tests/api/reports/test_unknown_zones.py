"""A time zone that this version does not know, from SQL or a newer version. It makes no report fail (rules: T3)."""

import re

import pytest
from sqlalchemy import insert, text, update

from app.core.time.clock import utc_now
from app.models.tables import ENTRY, TIME_ZONE
from app.services.operations.startup import prepare
from tests.support.databases import SQLITE, settings_for

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
REPORTS = [
    ("/reports/team", MARCH | {"scope": "all", "include_entries": "true"}),
    ("/reports/team", MARCH | {"scope": "all", "include_entries": "true", "attribution": "split"}),
    ("/reports/summary", MARCH | {"group_by": ["day", "user"]}),
    ("/reports/summary", MARCH | {"group_by": ["week", "team"], "attribution": "split"}),
    ("/reports/export/csv", MARCH | {"scope": "all", "columns": "full"}),
    ("/reports/export/json", MARCH | {"scope": "all"}),
    ("/time-entries", MARCH),
    ("/time-entries/me", MARCH),
    ("/reports/me", MARCH | {"attribution": "split"}),
    ("/reports/presence", {"date": "2026-03-02"}),
    ("/reports/export/xlsx", MARCH | {"scope": "all"}),
    ("/reports/export/pdf", {"month": "2026-03"}),
]
BINARY = ("xlsx", "pdf")


@pytest.fixture
def company(people, ada, ana, bob, website):
    """Each has an entry of an hour. Bob is in Berlin."""
    for user, zone in ((ada, "UTC"), (ana, "UTC"), (bob, "Europe/Berlin")):
        people.entry(user, website, "2026-03-02 08:00", "2026-03-02 09:00", time_zone=zone)
    return {"Ada": ada, "Ana": ana, "Bob": bob}


def reports(caller):
    """Return the status of each report, and its content without the time of its computation."""
    answers = [caller.get(path, params=params) for path, params in REPORTS]
    return [
        (path, answer.status_code, None if path.endswith(BINARY) else re.sub('"as_of":"[^"]*"', "", answer.text))
        for (path, _), answer in zip(REPORTS, answers, strict=True)
    ]


def register(database, name):
    with database.write_transaction() as session:
        session.execute(insert(TIME_ZONE).values(name=name))


def test_a_registered_name_that_is_no_zone_changes_no_report(company, as_user, server):
    ada = as_user(company["Ada"])
    before = reports(ada)
    register(server.database, "Mars/Olympus")

    after = reports(ada)

    assert {status for _, status, _ in before} == {200}
    assert after == before


def test_an_entry_in_a_zone_that_is_none_makes_no_report_fail(company, as_user, server):
    """Neither those of Ada, who sees all entries, nor those of Ana, whose entry it is."""
    register(server.database, "Mars/Olympus")
    with server.database.write_transaction() as session:
        of_ana = ENTRY.c.user_id == company["Ana"].id
        session.execute(update(ENTRY).where(of_ana).values(time_zone="Mars/Olympus"))

    failed = {
        (name, path, status)
        for name in ("Ada", "Ana", "Bob")
        for path, status, _ in reports(as_user(company[name]))
        if status not in ({200} if name == "Ada" else {200, 403})
    }

    assert failed == set()


def test_a_name_that_is_no_zone_is_named_at_the_start_and_by_verify_audit(company, server, run_command, db_url):
    register(server.database, "Mars/Olympus")

    warnings = prepare(settings_for(db_url), at=utc_now())

    assert "time_zone Mars/Olympus is not a time zone of this version." in warnings
    assert "time_zone Mars/Olympus is not a time zone. Hours in it" in run_command("verify-audit").stderr


def test_reports_of_own_hours_go_on_without_any_registered_zone(company, as_user, server, engine):
    with server.database.write_transaction() as session:
        deferred = "PRAGMA defer_foreign_keys = ON" if engine == SQLITE else "SET session_replication_role = replica"
        session.execute(text(deferred))
        session.execute(text("UPDATE time_zone SET name = 'Mars/' || name"))
        session.execute(text("UPDATE \"user\" SET time_zone = 'Mars/' || time_zone"))
        if engine != SQLITE:
            session.execute(text("SET session_replication_role = DEFAULT"))

    answers = reports(as_user(company["Ada"]))

    assert {status for _, status, _ in answers} == {200}

"""A timesheet says whether its hours agree with the audit log (rules: R3). Employee and manager sign it."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update

from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT, ENTRY, USER
from app.services.calendar.periods import month_period
from app.services.timesheets.audit_comparison import compare_with_audit_log
from tests.api.timesheets.test_month_pdf import lines, sheet_of, words
from tests.support.audit_tampering import AuditTamperer
from tests.support.factories import instant

AGREES = "AUDIT LOG agrees with this timesheet"
MARK = "differs from the audit log"
DO_NOT_SIGN = "Do not sign. Tell your admin."


@pytest.fixture
def people(people):
    people.records_events = True
    return people


@pytest.fixture
def entries(people, ana, website):
    """Ana worked on three days of March, once past midnight, and on one of April."""
    spans = {
        "2": ("2026-03-02 08:00", "2026-03-02 12:00"),
        "9": ("2026-03-09 20:00", "2026-03-10 02:00"),
        "31": ("2026-03-31 22:00", "2026-04-01 01:00"),
        "April": ("2026-04-15 08:00", "2026-04-15 12:00"),
    }
    return {name: people.entry(ana, website, *span) for name, span in spans.items()}


def differing_days(answer):
    """Return the days that the sheet marks, and check that its head counts them."""
    days = [line[:10] for line in lines(answer) if line.endswith(MARK) or f"{MARK} " in line]
    assert f"AUDIT LOG differs from this timesheet in {len(days)} of its days. {DO_NOT_SIGN}" in words(answer)
    return days


def change(server, entry_id, **values):
    with server.database.write_transaction() as session:
        session.execute(update(ENTRY).where(ENTRY.c.id == entry_id).values(values))


def test_a_sheet_of_hours_that_only_the_service_wrote_agrees_with_the_audit_log(as_user, ana, mia, entries):
    assert AGREES in words(sheet_of(as_user(ana)))
    assert AGREES in words(sheet_of(as_user(mia), "2026-04", user_id=ana.id))


def test_an_hour_added_by_sql_is_printed_with_its_day(as_user, server, ana, entries):
    change(server, entries["2"], end_time=instant("2026-03-02 13:00"))

    answer = sheet_of(as_user(ana))

    assert "2026-03-02 Mon 08:00\u201313:00" in words(answer)
    assert differing_days(answer) == ["2026-03-02"]
    assert AGREES in words(sheet_of(as_user(ana), "2026-04"))


def test_an_entry_that_sql_moved_is_printed_with_both_days(as_user, server, ana, entries):
    change(server, entries["2"], start_time=instant("2026-03-05 08:00"), end_time=instant("2026-03-05 12:00"))

    assert differing_days(sheet_of(as_user(ana))) == ["2026-03-02", "2026-03-05"]


def test_an_entry_past_midnight_is_printed_with_each_of_its_days_in_the_zone_of_the_sheet(
    as_user, server, ana, entries
):
    change(server, entries["9"], description="Other")
    change(server, entries["31"], description="Other")

    utc, tokyo = (sheet_of(as_user(ana), **params) for params in ({}, {"time_zone": "Asia/Tokyo"}))

    assert differing_days(utc) == ["2026-03-09", "2026-03-10", "2026-03-31"]
    assert differing_days(tokyo) == ["2026-03-10"]
    assert differing_days(sheet_of(as_user(ana), "2026-04")) == ["2026-04-01"]


def test_a_deleted_and_an_added_entry_are_printed_with_their_days(as_user, server, ana, entries):
    with server.database.write_transaction() as session:
        row = session.execute(select(ENTRY).where(ENTRY.c.id == entries["2"])).one()._asdict()
        session.execute(delete(ENTRY).where(ENTRY.c.id == entries["2"]))
        week = {name: row[name] + timedelta(days=7 * 2) for name in ("start_time", "end_time")}
        session.execute(insert(ENTRY).values(row | week | {"id": 900}))

    assert differing_days(sheet_of(as_user(ana))) == ["2026-03-02", "2026-03-16"]


def test_hours_that_the_service_changed_after_sql_did_stay_printed(as_user, server, ana, ada, entries):
    own = as_user(ana)
    change(server, entries["2"], start_time=instant("2026-03-02 06:00"))
    body = {"start_time": "2026-03-02T07:00:00Z", "reason": "Forgot"}

    assert as_user(ada).patch(f"/time-entries/{entries['2']}", json=body).status_code == 200

    assert differing_days(sheet_of(own)) == ["2026-03-02"]


def test_a_name_changed_by_sql_is_no_name_to_sign(as_user, server, ana, entries):
    with server.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == ana.id).values(last_name="Other"))

    assert f"AUDIT LOG differs from this timesheet in the data of the employee. {DO_NOT_SIGN}" in words(
        sheet_of(as_user(ana))
    )


def test_changes_of_another_user_are_not_printed(people, as_user, server, ana, bob, entries, website):
    bobs = people.entry(bob, website, "2026-03-02 08:00", "2026-03-02 09:00")
    change(server, bobs, description="Other")

    assert AGREES in words(sheet_of(as_user(ana)))


def test_a_sheet_says_that_the_audit_log_cannot_be_verified(as_user, server, ana, entries):
    own = as_user(ana)
    tamperer = AuditTamperer(server.database)
    second = (AUDIT_EVENT.c.chain_id == ana.id) & (AUDIT_EVENT.c.position == 2)
    tamperer.execute(update(AUDIT_EVENT).where(second).values(request_id="other"))
    tamperer.restore_triggers()

    assert f"AUDIT LOG cannot be verified. {DO_NOT_SIGN}" in words(sheet_of(own))


def test_a_user_without_any_event_left_agrees_with_nothing(as_user, server, ana, mia, entries):
    tamperer = AuditTamperer(server.database)
    tamperer.execute(
        delete(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == ana.id),
        delete(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == ana.id),
    )
    tamperer.restore_triggers()

    answer = sheet_of(as_user(mia), user_id=ana.id)

    assert "AUDIT LOG differs from this timesheet in the data of the employee and 4 of its days. " in words(answer)


def test_a_user_with_too_many_events_is_not_compared_and_the_sheet_says_so(server, ana, entries):
    march = month_period("2026-03", None)
    with server.database.read_transaction() as session:
        most = compare_with_audit_log(session, ana.id, march, chain_length=5, max_events=5)
        too_many = compare_with_audit_log(session, ana.id, march, chain_length=6, max_events=5)

    assert most.agrees
    assert str(too_many) == "not compared with this timesheet, because it has too many events"


def test_the_operators_sheet_says_it_too(server, ana, entries, run_command, tmp_path):
    change(server, entries["2"], end_time=instant("2026-03-02 13:00"))
    target = tmp_path / "ana.pdf"

    made = run_command("timesheet", str(ana.id), "2026-03", str(target))

    assert made.exit_code == 0
    assert target.read_bytes().startswith(b"%PDF")
    assert f"WARNING: The audit log differs from this timesheet in 1 of its days. {DO_NOT_SIGN}" in made.stderr

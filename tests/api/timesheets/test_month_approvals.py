"""The timesheets that touch a month, on its PDF."""

import pytest

from app.core.time.clock import utc_now
from tests.api.timesheets.conftest import RULE
from tests.api.timesheets.test_approvals import act, ok
from tests.api.timesheets.test_month_pdf import sheet_of, words


def printed(decided_at):
    return decided_at.replace("T", " ").replace("Z", "+00:00")


@pytest.fixture
def approved(as_user, mia, ana, march):
    ok(act(as_user(ana), ana, "submit"))
    return ok(act(as_user(mia), ana, "approve"))


def test_a_month_says_who_approved_it_and_when(as_user, ana, approved):
    sheet_words = words(sheet_of(as_user(ana)))

    assert (
        f"Timesheet 2026-03-01 to 2026-03-31: approved {printed(approved['decided_at'])} by Mia Silva, "
        f"18,000 seconds, 5:00 Digest {approved['digest']}"
    ) in sheet_words
    assert "Over its edges" not in sheet_words


def test_a_month_that_differs_from_its_timesheet_names_the_shift_over_its_edge(
    as_user, people, mia, ana, website, march
):
    before = people.entry(ana, website, "2026-02-28 22:00", "2026-03-01 02:00")
    after = people.entry(ana, website, "2026-03-31 23:00", "2026-04-01 01:30")
    people.entry(ana, website, "2026-03-15 22:00", "2026-03-16 06:00")
    ok(act(as_user(ana), ana, "submit"))

    sheet_words = words(sheet_of(as_user(ana)))

    # 5 h, a night of 8 h, and 2 h and 1 h of the shifts over the edges
    assert "57,600 seconds in total 16:00" in sheet_words
    assert "Timesheet 2026-03-01 to 2026-03-31: submitted, not decided yet, 55,800 seconds, 15:30" in sheet_words
    assert (
        f"Over its edges: entry {before} (2026-02-28 22:00 to 2026-03-01 02:00), "
        f"entry {after} (2026-03-31 23:00 to 2026-04-01 01:30)."
    ) in sheet_words


def test_a_shift_that_ends_at_midnight_is_not_over_the_edge(as_user, people, mia, ana, website, march):
    people.entry(ana, website, "2026-03-31 23:00", "2026-04-01 00:00")
    people.entry(ana, website, "2026-02-28 22:00", "2026-03-01 02:00")
    ok(act(as_user(ana), ana, "submit"))

    sheet_words = words(sheet_of(as_user(ana)))

    assert "2026-02-28 22:00 to 2026-03-01 02:00)." in sheet_words
    assert "2026-03-31 23:00 to" not in sheet_words


def test_a_reopened_and_a_rejected_month_say_so(as_user, people, mia, ana, approved):
    reopened = ok(act(as_user(mia), ana, "reopen", json={"reason": "Monday was longer"}))
    first = words(sheet_of(as_user(ana)))
    ok(act(as_user(ana), ana, "submit"))
    rejected = ok(act(as_user(mia), ana, "reject", json={"comment": "Still wrong"}))
    second = words(sheet_of(as_user(ana)))

    days = "Timesheet 2026-03-01 to 2026-03-31:"
    assert f"{days} reopened {printed(reopened['decided_at'])} by Mia Silva" in first
    assert f"{days} rejected {printed(rejected['decided_at'])} by Mia Silva" in second
    assert "Digest" not in first + second


def test_a_sole_admin_has_no_approver(admin, ada, march):
    sheet = ok(act(admin, ada, "submit"))

    assert f"approved {printed(sheet['decided_at'])}, nobody else could decide, 0 seconds" in words(sheet_of(admin))


def test_every_week_that_touches_the_month_is_printed(as_user, people, admin, ana, mia, website):
    assert admin.put(f"{RULE}/2026-02-23", json={"period": "week"}).status_code == 200
    people.entry(ana, website, "2026-02-27 08:00", "2026-02-27 12:00")
    people.entry(ana, website, "2026-03-01 08:00", "2026-03-01 12:00")
    ok(act(as_user(ana), ana, "submit", "2026-02-23"))

    sheet_words = words(sheet_of(as_user(ana)))

    assert "Timesheet 2026-02-23 to 2026-03-01: submitted, not decided yet, 28,800 seconds, 8:00" in sheet_words
    for days in ("2026-03-02 to 2026-03-08", "2026-03-23 to 2026-03-29", "2026-03-30 to 2026-04-05"):
        assert f"Timesheet {days}: open" in sheet_words
    assert "Over its edges" not in sheet_words


def test_without_a_rule_there_is_no_line(as_user, ana):
    assert (
        f"Timesheet {utc_now().year}-" not in words(sheet_of(as_user(ana))).partition("Total")[2].partition("Work")[0]
    )

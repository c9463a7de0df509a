"""Timesheet rules and the lock date, which admins change (rules: S1, S2, S7)."""

from datetime import timedelta

import pytest

from app.core.time.clock import utc_now
from tests.api.timesheets.conftest import RULE, sheet_path
from tests.support.audit_asserts import AuditLog
from tests.support.times import refusal

LOCK = "/admin/lock"


def set_rule(admin, day, period):
    return admin.put(f"{RULE}/{day}", json={"period": period})


def move(admin, day, **options):
    return admin.put(LOCK, json={"before_day": day, "reason": "Payroll of March"}, **options)


@pytest.mark.parametrize(
    ("period", "day", "is_valid"),
    [
        ("month", "2026-04-01", True),
        ("month", "2026-04-02", False),
        ("half_month", "2026-04-16", True),
        ("half_month", "2026-04-15", False),
        ("two_weeks", "2026-04-15", True),
        ("week", "2024-02-29", True),
    ],
)
def test_months_begin_on_a_1st_and_halves_on_a_1st_or_16th(admin, period, day, is_valid):
    answer = set_rule(admin, day, period)

    if is_valid:
        assert (answer.status_code, answer.json()["valid_from"], answer.json()["period"]) == (200, day, period)
    else:
        assert refusal(answer) == (422, "rule_start_invalid")


@pytest.mark.parametrize("day", ["1999-12-31", "2100-01-02", "2026-02-29", "today", "0001-01-01"])
def test_a_rule_begins_on_a_day_of_the_calendar(admin, day):
    assert set_rule(admin, day, "week").status_code == 422


def test_rules_change_behind_the_last_timesheet_only(as_user, admin, ana, march):
    assert set_rule(admin, "2026-04-01", "week").status_code == 200
    assert as_user(ana).post(sheet_path(ana, action="submit")).status_code == 200

    inside = [set_rule(admin, day, "week") for day in ("2025-06-01", "2026-01-01", "2026-03-31")]
    removed = [admin.delete(f"{RULE}/{day}") for day in ("2026-01-01", "2026-04-01")]
    behind = set_rule(admin, "2026-04-01", "month")

    assert [refusal(answer) for answer in inside + removed] == [(409, "rule_in_use")] * 5
    assert {answer.json()["first_free_day"] for answer in inside} == {"2026-04-01"}
    assert {answer.json()["first_free_day"] for answer in removed} == {"2026-04-02"}
    assert behind.status_code == 200
    assert [rule["period"] for rule in admin.get(RULE).json()] == ["month", "month"]


def test_a_rule_is_removed_once_and_its_changes_are_recorded(admin, server):
    audit_log = AuditLog(server.database)

    set_rule(admin, "2026-01-01", "month")
    set_rule(admin, "2026-01-01", "month")
    set_rule(admin, "2026-01-01", "week")
    answers = [admin.delete(f"{RULE}/2026-01-01") for _ in range(2)]

    assert answers[0].status_code == 204
    assert refusal(answers[1]) == (404, "timesheet_rule_not_found")
    actions = [event.action for event in audit_log.new_events()]
    assert actions == ["timesheet_rule:set"] * 2 + ["timesheet_rule:remove"]


def test_rules_and_the_lock_date_are_for_admins(as_user, mia, ana):
    for caller in (as_user(mia), as_user(ana)):
        answers = [
            caller.get(RULE),
            set_rule(caller, "2026-01-01", "week"),
            caller.delete(f"{RULE}/2026-01-01"),
            caller.get(LOCK),
            move(caller, "2026-01-01"),
        ]
        assert [refusal(answer) for answer in answers] == [(403, "role_required")] * 5


def test_the_lock_date_is_not_later_than_the_day_that_has_begun_everywhere(admin):
    latest = (utc_now() - timedelta(hours=12)).date()

    late = move(admin, str(latest + timedelta(days=2)))
    moved = move(admin, str(latest - timedelta(days=1)))

    assert refusal(late) == (422, "lock_in_future")
    assert moved.json()["before_day"] == str(latest - timedelta(days=1))


def test_the_lock_date_closes_days_to_admins_too_and_opens_them_again(as_user, admin, ana, march):
    entry, body = f"/time-entries/{march[0]}", {"description": "Other", "reason": "Typo"}
    assert move(admin, "2026-03-03").status_code == 200

    closed = admin.patch(entry, json=body)
    edge = admin.patch(f"/time-entries/{march[1]}", json=body)
    moved_back = move(admin, "2026-03-02")
    opened = admin.patch(entry, json=body)

    assert refusal(closed) == (409, "period_locked")
    assert closed.json()["before_day"] == "2026-03-03"
    assert (edge.status_code, moved_back.status_code, opened.status_code) == (200, 200, 200)


def test_of_two_admins_who_read_the_same_lock_date_the_second_is_refused(admin, server):
    read = admin.get(LOCK)
    meant = {"headers": {"If-Match": read.headers["ETag"]}}
    audit_log = AuditLog(server.database)

    first, second = move(admin, "2026-03-01", **meant), move(admin, "2026-04-01", **meant)
    same = move(admin, "2026-03-01")
    removed = move(admin, None, headers={"If-Match": first.headers["ETag"]})

    assert first.json()["version"] == read.json()["version"] + 1
    assert refusal(second) == (412, "lock_changed")
    assert second.json()["version"] == same.json()["version"] == first.json()["version"]
    assert (removed.status_code, removed.json()["before_day"]) == (200, None)
    events = [(event.action, event.reason) for event in audit_log.new_events()]
    assert events == [("payroll_lock:move", "Payroll of March")] * 2


def test_the_lock_date_moves_with_a_reason_only(admin):
    assert admin.put(LOCK, json={"before_day": "2026-03-01"}).status_code == 422
    assert admin.put(LOCK, json={"before_day": "2026-03-01", "reason": " "}).status_code == 422

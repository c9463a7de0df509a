"""Detours around locked hours: SQL behind the services, future periods, and other accounts (rules: S3 to S6)."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.time.clock import utc_now
from tests.api.timesheets.conftest import sheet_path
from tests.support.credentials import create_api_token
from tests.support.times import refusal


def submit(caller, user, first_day="2026-03-01", **options):
    return caller.post(sheet_path(user, first_day, "submit"), **options)


def test_a_locked_entry_whose_timesheet_was_opened_by_sql_is_still_refused(as_user, ana, website, march, server):
    """The trigger holds what a missing check of a service would let through."""
    assert submit(as_user(ana), ana).status_code == 200
    with server.database.write_transaction("by hand") as session:
        session.execute(text("UPDATE timesheet SET status = 'open', digest = NULL, returned_at = submitted_at"))
    entry = f"/time-entries/{march[0]}"

    changed = as_user(ana).patch(entry, json={"description": "Other", "reason": "Typo"})
    deleted = as_user(ana).delete(entry, params={"reason": "Twice"})

    assert refusal(changed) == refusal(deleted) == (409, "entry_locked")


def test_nobody_submits_a_future_period_of_somebody_who_left(as_user, admin, mia, ana, monthly):
    """It would lock days on which Ana punches after her return, and keep admins from changing the rules."""
    next_month = (utc_now().date().replace(day=1) + timedelta(days=40)).replace(day=1)
    assert admin.put(f"/admin/users/{ana.id}/deactivate").status_code == 200
    reason = {"reason": "Left"}

    answers = [submit(as_user(mia), ana, day, json=reason) for day in (str(next_month), "2099-12-01")]
    detail = as_user(mia).get(sheet_path(ana, str(next_month))).json()

    assert [refusal(answer) for answer in answers] == [(409, "timesheet_not_over")] * 2
    assert detail["can"] == []


def test_a_manager_who_became_an_admin_does_not_approve_their_own(as_user, admin, mia, march):
    assert submit(as_user(mia), mia).status_code == 200
    assert admin.patch(f"/admin/users/{mia.id}", json={"role": "admin"}).status_code == 200

    own = as_user(mia).post(sheet_path(mia, action="approve"))
    bulk = as_user(mia).post(
        "/timesheets/approve", json={"timesheets": [{"user_id": mia.id, "first_day": "2026-03-01"}]}
    )

    assert refusal(own) == (403, "own_timesheet")
    assert refusal(bulk) == (409, "bulk_refused")
    assert [each["type"] for each in bulk.json()["errors"]] == ["own_timesheet"]


def test_a_timesheet_named_twice_in_a_bulk_approval_is_refused_once(as_user, mia, ana, march):
    assert submit(as_user(ana), ana).status_code == 200
    key = {"user_id": ana.id, "first_day": "2026-03-01"}

    answer = as_user(mia).post("/timesheets/approve", json={"timesheets": [key, key]})

    assert refusal(answer) == (409, "bulk_refused")
    assert [(each["loc"][-1], each["type"]) for each in answer.json()["errors"]] == [(1, "timesheet_status_conflict")]


def test_a_former_manager_neither_sees_nor_decides(as_user, admin, people, mia, ana, march):
    max_ = people.manager("Max")
    assert submit(as_user(ana), ana).status_code == 200
    moved = admin.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": max_.id})

    answer = as_user(mia).post(sheet_path(ana, action="approve"))
    approved = as_user(max_).post(sheet_path(ana, action="approve"))

    assert moved.status_code == 200
    assert refusal(answer) == (404, "user_not_found")
    assert as_user(mia).get("/timesheets", params={"user_id": ana.id, "include_indirect": True}).json() == []
    assert approved.json()["decided_by"] == max_.id


@pytest.mark.parametrize("scope", ["entries:read", "entries:write", "reports:read"])
def test_an_api_token_without_the_scope_admin_decides_nothing(as_user, server, mia, ana, march, scope):
    assert submit(as_user(ana), ana).status_code == 200

    with server.caller(create_api_token(server.database, mia, scope).token) as script:
        answers = [
            script.post(sheet_path(ana, action="approve")),
            script.post(sheet_path(ana, action="reject"), json={"comment": "No"}),
            script.post("/timesheets/approve", json={"timesheets": [{"user_id": ana.id, "first_day": "2026-03-01"}]}),
        ]

    assert [refusal(answer) for answer in answers] == [(403, "scope_required")] * 3

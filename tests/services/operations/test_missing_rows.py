"""Rows that transactions lock. Without its row a statement would lock nothing, so it fails and its absence is named."""

import httpx
import pytest
from sqlalchemy import text

from app.core.database.migrations import UnusableDatabase
from app.core.time.clock import utc_now
from app.services.operations.startup import prepare
from tests.support.audit_tampering import AuditTamperer
from tests.support.databases import settings_for
from tests.support.server_process import TLS

NO_LOCK_ROW = "The row people of global_lock is missing."
NO_LOCK_DATE = "The row entries of payroll_lock is missing."
NO_HEAD = "The row 0 of audit_chain is missing."


@pytest.fixture
def without_lock_row(people, as_user, server):
    """Ada and Ana are logged in when the row is deleted."""
    people.records_events = True
    callers = {"Ada": as_user(people.admin("Ada")), "Ana": as_user(people.employee("Ana"))}
    with server.database.write_transaction() as session:
        session.execute(text("DELETE FROM global_lock"))
    return callers


def test_without_its_lock_row_no_user_is_changed_and_others_work_on(without_lock_row, people):
    ada, ana = without_lock_row["Ada"], without_lock_row["Ana"]
    body = {"first_name": "Anna"}
    user_id = ana.get("/auth/me").json()["id"]

    refused = ada.patch(f"/admin/users/{user_id}", json=body)

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert NO_LOCK_ROW in refused.json()["detail"]
    assert ana.clock_in(people.project("Website").id).status_code == 200


def test_a_missing_lock_row_is_named_by_verify_audit_and_by_the_log_of_a_service_that_is_not_ready(
    without_lock_row, server, run_command, capsys
):
    answer = httpx.get(f"{server.base_url}/health/ready", verify=TLS)
    verified = run_command("verify-audit")

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert verified.exit_code == 1
    assert verified.stderr.splitlines()[1:] == [NO_LOCK_ROW]


def test_no_service_starts_without_its_lock_row(without_lock_row, server, db_url):
    with pytest.raises(UnusableDatabase, match=NO_LOCK_ROW):
        prepare(settings_for(db_url), at=utc_now())


def test_without_the_row_of_the_lock_date_no_entry_is_corrected_and_punches_work_on(
    people, as_user, server, db_url, run_command
):
    people.records_events = True
    admin, ana = as_user(people.admin("Ada")), as_user(people.employee("Ana"))
    website = people.project("Website").id
    with server.database.write_transaction() as session:
        session.execute(text("DELETE FROM payroll_lock"))
    times = {"start_time": "2026-03-02T08:00:00Z", "end_time": "2026-03-02T09:00:00Z"}

    refused = [
        admin.post("/time-entries", json={"project_id": website, "description": "", "reason": "Forgot"} | times),
        admin.get("/admin/lock"),
        admin.put("/admin/lock", json={"before_day": "2026-01-01", "reason": "Paid"}),
    ]
    punched = ana.clock_in(website)
    verified = run_command("verify-audit")

    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(503, "database_unavailable")] * 3
    assert all(NO_LOCK_DATE in answer.json()["detail"] for answer in refused)
    assert punched.status_code == 200
    assert NO_LOCK_DATE in verified.stderr.splitlines()
    with pytest.raises(UnusableDatabase, match=NO_LOCK_DATE):
        prepare(settings_for(db_url), at=utc_now())


def test_no_event_is_recorded_while_the_head_of_its_chain_is_missing(people, as_user, server, db_url):
    """Projects are recorded in chain 0, whose head orders the writers."""
    admin = as_user(people.admin("Ada"))
    AuditTamperer(server.database).execute(text("DELETE FROM audit_chain WHERE chain_id = 0"))

    refused = admin.post("/admin/projects", json={"name": "Website"})

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    with pytest.raises(UnusableDatabase, match=NO_HEAD):
        prepare(settings_for(db_url), at=utc_now())

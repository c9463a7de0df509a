"""Changes since a payroll export: what Pia, the payroll clerk, has to correct."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.pagination import MAX_ROWS_IN_MEMORY
from app.core.time.clock import utc_now
from app.models.tables import TIMESHEET
from app.services.audit import recorder
from app.services.timesheets import approvals
from app.services.timesheets.cases import TimesheetName
from tests.api.timesheets.test_approvals import act, ok
from tests.api.timesheets.test_payroll import payroll, rows
from tests.support.credentials import create_claims
from tests.support.times import hours_ago, refusal

CHANGES = "/reports/payroll/changes"


def changes(caller: Any, since: str, **params: Any) -> list[dict[str, Any]]:
    return ok(caller.get(CHANGES, params={"since": since, "scope": "all"} | params))


def correct(caller: Any, entry_id: int, end_time: str) -> None:
    answer = caller.patch(f"/time-entries/{entry_id}", json={"end_time": end_time, "reason": "Stayed longer"})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def pia(people, as_user):
    """Pia, the payroll clerk, is an admin and has no team."""
    return as_user(people.admin("Pia"))


@pytest.fixture
def approved(server, people):
    """Return a function that submits and approves a user's month at an instant, by default an hour ago."""

    def approve(user, decider, first_day="2026-03-01", at=None):
        at = at or utc_now() - timedelta(hours=1)
        name = TimesheetName(user.id, datetime.fromisoformat(first_day).date())
        own, others = (create_claims(server.database, each, is_recorded=True) for each in (user, decider))
        with server.database.write_transaction("test") as session:
            approvals.submit(session, own, name, reason=None, at=at)
        with server.database.write_transaction("test") as session:
            return approvals.approve(session, others, name, comment=None, at=at)

    return approve


def approved_hours(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("total_seconds", "digest", "approved_at")}


def difference(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what differs between two full payroll exports, as the list of changes has it, but without reasons."""
    was, now = ({(row["employee_id"], row["first_day"]): row for row in each} for each in (before, after))
    return [
        {
            "user_id": key[0],
            "first_day": key[1],
            "last_day": (was.get(key) or now[key])["last_day"],
            "was": approved_hours(was[key]) if key in was else None,
            "now": approved_hours(now[key]) if key in now else None,
        }
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
    ]


def test_the_changes_are_the_difference_of_two_full_exports(as_user, people, pia, mia, ana, website, march, approved):
    """Ana's month is reopened, corrected and approved again, Ben's only reopened, and Cem's approved for the first
    time. Dora's stays as it was."""
    ben, cem, dora = (people.employee(name, manager=mia) for name in ("Ben", "Cem", "Dora"))
    people.entry(cem, website, "2026-03-05 08:00", "2026-03-05 09:00")
    for user in (ana, ben, dora):
        approved(user, mia)
    before = payroll(pia, scope="all")

    ok(act(as_user(mia), ana, "reopen", json={"reason": "Monday was longer"}))
    correct(as_user(ana), march[0], "2026-03-02T13:00:00Z")
    ok(act(as_user(ana), ana, "submit"))
    ok(act(as_user(mia), ana, "approve", json={"comment": "Now it is right"}))
    ok(act(as_user(mia), ben, "reopen", json={"reason": "Ben has no entries"}))
    ok(act(as_user(cem), cem, "submit"))
    ok(act(as_user(mia), cem, "approve"))
    after = payroll(pia, scope="all")
    found = changes(pia, before.headers["X-As-Of"])

    reasons = [change.pop("reasons") for change in found]
    assert found == difference(rows(before), rows(after))
    assert reasons == [["Monday was longer", "Now it is right"], ["Ben has no entries"], []]
    assert [change["now"] and change["now"]["total_seconds"] for change in found] == [21600, None, 3600]
    assert [change["was"] and change["was"]["total_seconds"] for change in found] == [18000, 0, None]


def test_what_came_back_to_nothing_approved_is_no_change(as_user, people, pia, mia, ana, march):
    """Ana submits and withdraws, Ben is rejected, Cem's month waits."""
    ben, cem = (people.employee(name, manager=mia) for name in ("Ben", "Cem"))
    for user in (ana, ben, cem):
        ok(act(as_user(user), user, "submit"))
    ok(act(as_user(ana), ana, "withdraw"))
    ok(act(as_user(mia), ben, "reject", json={"comment": "Tuesday is missing"}))

    assert changes(pia, hours_ago(1)) == []


def test_a_reopened_month_that_was_submitted_again_is_not_approved_yet(as_user, pia, mia, ana, march, approved):
    approved(ana, mia)
    before = payroll(pia, scope="all")

    ok(act(as_user(mia), ana, "reopen", json={"reason": "Monday was longer"}))
    ok(act(as_user(ana), ana, "submit"))
    (change,) = changes(pia, before.headers["X-As-Of"])

    assert (change["was"], change["now"]) == (approved_hours(rows(before)[0]), None)


def test_what_a_sole_admin_submits_is_approved_at_once(admin, ada, march):
    sheet = ok(act(admin, ada, "submit"))

    (change,) = changes(admin, hours_ago(1))

    assert (change["user_id"], change["was"], change["now"]["digest"]) == (ada.id, None, sheet["digest"])


def test_a_decision_that_was_being_stored_when_the_payroll_was_read_is_listed(pia, mia, ana, march, approved):
    """Mia's request began before the export, and was committed after it."""
    before = payroll(pia, scope="all")
    as_of = datetime.fromisoformat(before.headers["X-As-Of"])

    approved(ana, mia, at=as_of - timedelta(seconds=30))
    (change,) = changes(pia, before.headers["X-As-Of"])

    assert rows(before) == []
    assert (change["was"], change["now"]["total_seconds"]) == (None, 18000)
    assert change["now"]["approved_at"] < before.headers["X-As-Of"]


def test_a_decision_of_the_last_minute_that_the_payroll_had_is_listed_as_pia_has_it(pia, mia, ana, march, approved):
    approved(ana, mia, at=utc_now() - timedelta(seconds=5))
    before = payroll(pia, scope="all")

    (change,) = changes(pia, before.headers["X-As-Of"])

    assert change["now"] == approved_hours(rows(before)[0])


def test_an_earlier_decision_is_not_listed_again(pia, mia, ana, march, approved):
    approved(ana, mia, at=utc_now() - timedelta(seconds=90))

    answer = payroll(pia, scope="all")

    assert len(rows(answer)) == 1
    assert changes(pia, answer.headers["X-As-Of"]) == []


def test_mia_sees_the_changes_of_her_team_only(as_user, people, pia, mia, ana, bob, march, approved):
    bo = people.manager("Bo", manager=mia)
    eve, otto = people.employee("Eve", manager=bo), people.manager("Otto")
    for user in (ana, eve, bob, mia, otto):
        approved(user, people.admin(f"Admin of {user.first_name}"))

    def seen(caller, **params):
        return [change["user_id"] for change in changes(caller, hours_ago(2), **params)]

    assert seen(pia) == sorted(user.id for user in (ana, eve, bob, mia, otto))
    assert seen(as_user(mia), scope="team") == [ana.id]
    assert seen(as_user(mia), scope="team", include_indirect="true") == [ana.id, eve.id]
    assert seen(as_user(otto), scope="team") == [otto.id]
    assert refusal(as_user(mia).get(CHANGES, params={"since": hours_ago(2), "scope": "all"})) == (403, "role_required")
    assert refusal(as_user(ana).get(CHANGES, params={"since": hours_ago(2)})) == (403, "role_required")


def test_since_lies_in_the_last_400_days(pia, monthly):
    too_early, too_late = hours_ago(24 * 400 + 1), hours_ago(-1)

    assert refusal(pia.get(CHANGES, params={"since": too_early})) == (422, "period_too_long")
    assert refusal(pia.get(CHANGES, params={"since": too_late})) == (422, "period_reversed")
    assert changes(pia, hours_ago(24 * 400 - 1)) == []


def test_a_month_with_thousands_of_events_is_one_change(server, pia, mia, ana, march, approved):
    """More events than are read into memory, so that the response is streamed. They are all of one second."""
    approved(ana, mia)
    with server.database.write_transaction("test") as session:
        sheet_id = session.execute(TIMESHEET.select()).one().id
        for number in range(MAX_ROWS_IN_MEMORY):
            recorder.record(
                session, "timesheet:note", at=utc_now(), actor_id=mia.id, subject_id=ana.id, object_id=sheet_id,
                before={}, after={}, reason=f"Note {number}",
            )  # fmt: skip

    (change,) = changes(pia, hours_ago(2))

    assert (change["user_id"], change["now"]["total_seconds"]) == (ana.id, 18000)
    assert len(change["reasons"]) == MAX_ROWS_IN_MEMORY

"""Timesheet rules and the lock date, for admins."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.api.dependencies.authentication import AdminTransaction
from app.api.dependencies.parameters import IfMatch, Now
from app.api.http.response_headers import etag
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import ROLE_ERRORS
from app.schemas.timesheets.rule import LockDateRead, LockDateSet, TimesheetRuleRead, TimesheetRuleSet
from app.schemas.types import Day
from app.services.timesheets import lock_date, rules
from app.services.timesheets.errors import LockChanged, LockInFuture, RuleInUse, RuleNotFound, RuleStartInvalid

router = APIRouter(prefix="/admin/timesheet-rules", tags=["admin: timesheets"])
lock_router = APIRouter(prefix="/admin/lock", tags=["admin: timesheets"])
ValidFrom = Annotated[Day, Path(description="First day of the rule.")]


@router.get("", summary="List timesheet rules", responses=error_responses(*ROLE_ERRORS))
async def list_timesheet_rules(tx: AdminTransaction) -> list[TimesheetRuleRead]:
    """The rules, oldest first. Each holds until the day before the next one."""
    return [TimesheetRuleRead.model_validate(rule) for rule in await tx.read(rules.list_rules)]


@router.put(
    "/{valid_from}",
    summary="Set a timesheet rule",
    responses=error_responses(*ROLE_ERRORS, RuleStartInvalid, RuleInUse),
)
async def set_timesheet_rule(
    valid_from: ValidFrom, body: TimesheetRuleSet, tx: AdminTransaction, now: Now
) -> TimesheetRuleRead:
    """Let a kind of period begin on this day, also in the past. It must be after the last day of every timesheet that
    was submitted.

    Weeks are counted from this day. A month begins on a 1st, half a month on a 1st or 16th. If the day is inside a
    period of the rule before, that period ends on the day before.
    """
    return TimesheetRuleRead.model_validate(await tx.write(rules.set_rule, valid_from, body.period, at=now))


@router.delete(
    "/{valid_from}",
    summary="Remove a timesheet rule",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, RuleNotFound, RuleInUse),
)
async def remove_timesheet_rule(valid_from: ValidFrom, tx: AdminTransaction, now: Now) -> None:
    """Remove a rule that no submitted timesheet depends on. The rule before it then holds longer."""
    await tx.write(rules.remove_rule, valid_from, at=now)


@lock_router.get("", summary="Get the lock date", responses=error_responses(*ROLE_ERRORS))
async def get_lock_date(tx: AdminTransaction, response: Response) -> LockDateRead:
    """The lock date. `before_day` is null until an admin sets it."""
    return _with_etag(response, LockDateRead.model_validate(await tx.read(lock_date.get)))


@lock_router.put("", summary="Move the lock date", responses=error_responses(*ROLE_ERRORS, LockInFuture, LockChanged))
async def move_lock_date(
    body: LockDateSet, tx: AdminTransaction, now: Now, response: Response, versions: IfMatch
) -> LockDateRead:
    """Close all entries that start before this local day, for everybody and for admins too. Null opens them again.

    Users can still clock out of an entry that began before it. Move the date back to correct something, and then forth
    again. Both are recorded with their reason.
    """
    moved = await tx.write(lock_date.move, body.before_day, reason=body.reason, versions=versions, at=now)
    return _with_etag(response, LockDateRead.model_validate(moved))


def _with_etag(response: Response, lock: LockDateRead) -> LockDateRead:
    response.headers["ETag"] = etag(lock.version)
    return lock

"""The actions on timesheets: submit, withdraw, approve, reject, reopen."""

from typing import Annotated

from fastapi import APIRouter, Response, Security

from app.api.dependencies.authentication import ClaimsTransactionRunner, require_claims
from app.api.dependencies.parameters import IfMatch, Now, PathId
from app.api.http.response_headers import etag
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, ROLE_ERRORS
from app.api.v1.timesheets.timesheets import SHEET_PATH, FirstDay
from app.core.security.access_tokens import TokenScope
from app.schemas.timesheets.timesheet import (
    TimesheetApprove,
    TimesheetRead,
    TimesheetReject,
    TimesheetReopen,
    TimesheetsApprove,
    TimesheetSubmit,
)
from app.services.access.errors import UserNotFound
from app.services.time_entries.errors import BulkRejected, ReasonRequired
from app.services.timesheets import approvals
from app.services.timesheets.cases import TimesheetName
from app.services.timesheets.errors import (
    NotYourTimesheet,
    OwnTimesheet,
    TimesheetChanged,
    TimesheetNotFound,
    TimesheetNotOver,
    TimesheetNotSubmittable,
    TimesheetStatusConflict,
)

router = APIRouter(prefix="/timesheets", tags=["timesheets"])
ClaimsTransaction = Annotated[ClaimsTransactionRunner, Security(require_claims, scopes=[TokenScope.entries_write])]
DecidingTransaction = Annotated[ClaimsTransactionRunner, Security(require_claims, scopes=[TokenScope.admin])]
"""Of API tokens, only those with the scope `admin` decide."""
_ERRORS = (*AUTH_ERRORS, UserNotFound, TimesheetNotFound, TimesheetChanged, TimesheetStatusConflict)
_DECISION_ERRORS = (*_ERRORS, OwnTimesheet)


@router.post(
    f"{SHEET_PATH}/submit",
    summary="Submit a timesheet",
    responses=error_responses(*_ERRORS, ReasonRequired, TimesheetNotOver, TimesheetNotSubmittable),
)
async def submit_timesheet(
    user_id: PathId,
    first_day: FirstDay,
    tx: ClaimsTransaction,
    now: Now,
    response: Response,
    versions: IfMatch,
    body: TimesheetSubmit | None = None,
) -> TimesheetRead:
    """Submit a period that is over for a minute, with its entries, which are then locked. To submit it for another user
    whom you may see, send a `reason`.

    Entries that are open or need review prevent it. `errors` lists them. If nobody else could decide, the timesheet is
    approved at once, unless an API token submits it.
    """
    name = TimesheetName(user_id, first_day, versions)
    return _with_etag(response, await tx.write(approvals.submit, name, reason=body.reason if body else None, at=now))


@router.post(
    f"{SHEET_PATH}/withdraw", summary="Withdraw a timesheet", responses=error_responses(*_ERRORS, NotYourTimesheet)
)
async def withdraw_timesheet(
    user_id: PathId, first_day: FirstDay, tx: ClaimsTransaction, now: Now, response: Response, versions: IfMatch
) -> TimesheetRead:
    """Take back your submission before somebody decides. The entries can be changed again."""
    name = TimesheetName(user_id, first_day, versions)
    return _with_etag(response, await tx.write(approvals.withdraw, name, at=now))


@router.post(f"{SHEET_PATH}/approve", summary="Approve a timesheet", responses=error_responses(*_DECISION_ERRORS))
async def approve_timesheet(
    user_id: PathId,
    first_day: FirstDay,
    tx: DecidingTransaction,
    now: Now,
    response: Response,
    versions: IfMatch,
    body: TimesheetApprove | None = None,
) -> TimesheetRead:
    """Approve a submitted timesheet of a user whom you may see. Nobody approves their own."""
    name = TimesheetName(user_id, first_day, versions)
    return _with_etag(response, await tx.write(approvals.approve, name, comment=body.comment if body else None, at=now))


@router.post(f"{SHEET_PATH}/reject", summary="Reject a timesheet", responses=error_responses(*_DECISION_ERRORS))
async def reject_timesheet(
    user_id: PathId,
    first_day: FirstDay,
    body: TimesheetReject,
    tx: DecidingTransaction,
    now: Now,
    response: Response,
    versions: IfMatch,
) -> TimesheetRead:
    """Return a submitted timesheet with a comment. The user can then correct its entries, however old they are."""
    name = TimesheetName(user_id, first_day, versions)
    return _with_etag(response, await tx.write(approvals.reject, name, comment=body.comment, at=now))


@router.post(f"{SHEET_PATH}/reopen", summary="Reopen a timesheet", responses=error_responses(*_DECISION_ERRORS))
async def reopen_timesheet(
    user_id: PathId,
    first_day: FirstDay,
    body: TimesheetReopen,
    tx: DecidingTransaction,
    now: Now,
    response: Response,
    versions: IfMatch,
) -> TimesheetRead:
    """Return an approved timesheet with a reason. The user can then correct its entries and submit it again.

    `GET /reports/payroll/changes` shows what changed since an earlier payroll.
    """
    name = TimesheetName(user_id, first_day, versions)
    return _with_etag(response, await tx.write(approvals.reopen, name, reason=body.reason, at=now))


@router.post("/approve", summary="Approve several timesheets", responses=error_responses(*ROLE_ERRORS, BulkRejected))
async def approve_timesheets(body: TimesheetsApprove, tx: DecidingTransaction, now: Now) -> list[TimesheetRead]:
    """Approve up to 100 submitted timesheets, all or none. If any is rejected, `errors` has its index and error code.

    Each timesheet counts as one request in the rate limit.
    """
    tx.count_operations(len(body.timesheets))
    return await tx.write(approvals.approve_many, body, at=now)


def _with_etag(response: Response, sheet: TimesheetRead) -> TimesheetRead:
    response.headers["ETag"] = etag(sheet.version)
    return sheet

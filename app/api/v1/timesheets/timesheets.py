"""Timesheets: the periods of hours that are submitted and approved."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_manager, require_user
from app.api.dependencies.parameters import CursorPageDep, Days, Now, OptionalDays, PathId, set_as_of
from app.api.dependencies.report_parameters import IncludeIndirect
from app.api.http.response_headers import etag
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, PERIOD_ERRORS, ROLE_ERRORS
from app.core.pagination import InvalidCursor
from app.core.security.access_tokens import TokenScope
from app.models.timesheets import TimesheetStatus
from app.schemas.audit import TimesheetHistoryItem
from app.schemas.timesheets.timesheet import TimesheetDetail, TimesheetFilter, TimesheetRead, dump_timesheets
from app.schemas.types import MAX_ID, Day
from app.services.access.errors import UserNotFound
from app.services.calendar.periods import PeriodTooLong
from app.services.timesheets import queries
from app.services.timesheets.errors import TimesheetNotFound

router = APIRouter(prefix="/timesheets", tags=["timesheets"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.entries_read])]
ManagerTransaction = Annotated[UserTransactionRunner, Security(require_manager, scopes=[TokenScope.entries_read])]
FirstDay = Annotated[Day, Path(description="First day of the period.")]
SHEET_PATH = "/{user_id}/{first_day}"


@router.get(
    "/me",
    summary="List my timesheets",
    response_model=list[TimesheetRead],
    responses=error_responses(*AUTH_ERRORS, *PERIOD_ERRORS, PeriodTooLong),
)
async def list_my_timesheets(tx: UserTransaction, days: Days, now: Now) -> Response:
    """Your timesheets that touch these days, newest first, also those that you have not submitted. At most 400.

    The list is empty until an admin sets a timesheet rule. An entry counts to the period in which it starts, in its own
    time zone.
    """
    found = await tx.report(queries.list_own, days, at=now)
    response = Response(dump_timesheets(found), media_type="application/json")
    set_as_of(response, now)
    return response


@router.get(
    "",
    summary="List timesheets to decide on",
    response_model=list[TimesheetRead],
    responses=error_responses(*ROLE_ERRORS, *PERIOD_ERRORS, InvalidCursor),
)
async def list_timesheets(
    tx: ManagerTransaction,
    now: Now,
    page: CursorPageDep,
    days: OptionalDays,
    status: Annotated[TimesheetStatus | None, Query(description="Only timesheets with this status.")] = None,
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only timesheets of this user.")] = None,
    include_indirect: IncludeIndirect = False,
) -> Response:
    """Timesheets of your direct reports that touch these days and were submitted at least once. With
    `include_indirect`, of all whom you may see, except your own.

    With `status=submitted`, the one that waits longest comes first, otherwise the newest period. `Link` has the next
    page.
    """
    filters = TimesheetFilter(status, user_id, include_indirect)
    found, next_cursor = await tx.report(
        queries.list_visible, filters, days, cursor=page.cursor, limit=page.limit, at=now
    )
    response = Response(dump_timesheets(found), media_type="application/json")
    page.set_headers(response, next_cursor)
    set_as_of(response, now)
    return response


@router.get(
    SHEET_PATH,
    summary="Get a timesheet",
    responses=error_responses(*AUTH_ERRORS, UserNotFound, TimesheetNotFound),
)
async def get_timesheet(
    user_id: PathId, first_day: FirstDay, tx: UserTransaction, now: Now, response: Response
) -> TimesheetDetail:
    """One timesheet, with the entries that prevent its submission. Send its `ETag` as `If-Match` when you act on it."""
    sheet = await tx.read(queries.get, user_id, first_day, at=now)
    response.headers["ETag"] = etag(sheet.version)
    return sheet


@router.get(
    f"{SHEET_PATH}/history",
    summary="Get a timesheet's history",
    responses=error_responses(*AUTH_ERRORS, UserNotFound, TimesheetNotFound),
)
async def get_timesheet_history(
    user_id: PathId, first_day: FirstDay, tx: UserTransaction
) -> list[TimesheetHistoryItem]:
    """All actions on a timesheet from the audit log, oldest first, with actor, time and comment."""
    return await tx.read(queries.list_history, user_id, first_day)

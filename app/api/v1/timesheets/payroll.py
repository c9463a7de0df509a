"""Payroll: approved timesheets as a file, and what changed in them since an earlier file."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, Security
from starlette.responses import StreamingResponse

from app.api.dependencies.authentication import UserTransactionRunner, require_manager
from app.api.dependencies.parameters import Days, Now, set_as_of
from app.api.dependencies.report_parameters import CsvDialectDep, IncludeIndirect, ScopeQuery
from app.api.dependencies.streaming import json_response, stream_response
from app.api.openapi.error_responses import error_responses
from app.api.openapi.files import file_response
from app.api.v1.shared_errors import EXPORT_ERRORS, PERIOD_ERRORS, ROLE_ERRORS, STREAM_ERRORS
from app.core.database.session import Session
from app.core.observability.metrics import EXPORT_ROWS
from app.core.security.access_tokens import TokenScope
from app.core.server.spool import Write
from app.schemas.reports.report import ExportFormat, ReportScope
from app.schemas.timesheets.payroll import PayrollChange
from app.schemas.types import InputInstant
from app.services.access.actor import Actor
from app.services.calendar.periods import PeriodTooLong
from app.services.exports.files import file_name
from app.services.exports.xlsx import TooManyRows
from app.services.timesheets import payroll, payroll_changes
from app.services.timesheets.payroll import LeftOut, PayrollQuery
from app.services.timesheets.payroll_changes import ChangesQuery

router = APIRouter(prefix="/reports", tags=["exports"])
ManagerTransaction = Annotated[UserTransactionRunner, Security(require_manager, scopes=[TokenScope.reports_read])]
_ERRORS = (*ROLE_ERRORS, *PERIOD_ERRORS, PeriodTooLong)
_CONTENT = "One row per timesheet, sorted by user and first day, streamed."


@dataclass(frozen=True, slots=True)
class _Parameters:
    period: Days
    dialect: CsvDialectDep
    include_indirect: IncludeIndirect = False
    scope: ScopeQuery = ReportScope.team
    include_open: Annotated[
        bool, Query(description="Also include timesheets that are not approved, and periods that nobody submitted.")
    ] = False
    export_format: Annotated[
        ExportFormat, Query(alias="format", description="`json` is text with one JSON object per line.")
    ] = ExportFormat.json


@router.get(
    "/payroll",
    summary="Export approved timesheets",
    response_class=StreamingResponse,
    responses=error_responses(*_ERRORS, *EXPORT_ERRORS, TooManyRows) | file_response(_CONTENT, *ExportFormat),
)
async def export_payroll(
    tx: ManagerTransaction, now: Now, parameters: Annotated[_Parameters, Depends()]
) -> StreamingResponse:
    """The approved timesheets of your team that lie wholly inside these days, at most 400. If you have no team, the
    file has your own.

    `X-Not-Approved` is the number of users in the scope who have entries in these days that are in no approved
    timesheet. `X-Cut-Timesheets` is the number of approved timesheets that are only partly in these days, such as the
    week in which a month ends. They have no row.

    Keep `X-As-Of`: `GET /reports/payroll/changes` tells what changed since then.

    With `include_open=true` the file has all timesheets, also periods with entries that nobody submitted. Only approved
    ones have `approved_at`. `approved_by` is the id of a user, and empty if nobody else could decide.
    """
    query = PayrollQuery(
        parameters.period, parameters.scope, parameters.include_indirect, parameters.include_open, parameters.dialect
    )
    headers: dict[str, str] = {}

    def set_left_out(left_out: LeftOut) -> None:
        headers["X-Not-Approved"], headers["X-Cut-Timesheets"] = map(str, left_out)

    def check(session: Session, actor: Actor) -> None:
        set_left_out(payroll.count_left_out(session, actor, query))

    def begin(session: Session, actor: Actor) -> None:
        payroll.authorize(session, actor, query, parameters.export_format, at=now)

    def produce(session: Session, actor: Actor, out: Write) -> None:
        count_rows = EXPORT_ROWS.labels(parameters.export_format).inc
        payroll.write(
            session, actor, query, parameters.export_format, out, on_rows=count_rows, on_left_out=set_left_out
        )

    response = await stream_response(
        tx,
        begin,
        produce,
        check=check,
        media_type=parameters.export_format.media_type,
        file_name=file_name("payroll", parameters.period, parameters.export_format),
        headers=headers,
    )
    set_as_of(response, now)
    return response


@router.get(
    "/payroll/changes",
    summary="List changes since a payroll export",
    response_model=list[PayrollChange],
    responses=error_responses(*_ERRORS, *STREAM_ERRORS),
)
async def list_payroll_changes(
    tx: ManagerTransaction,
    now: Now,
    since: Annotated[
        InputInstant,
        Query(
            description="`X-As-Of` of an earlier payroll export, at most 400 days ago.",
            examples=["2026-11-30T08:00:00Z"],
        ),
    ],
    include_indirect: IncludeIndirect = False,
    scope: ScopeQuery = ReportScope.team,
) -> Response:
    """Timesheets whose approved state is not that of the earlier export, by user and first day. The next `since` is
    the `X-As-Of` of this response.

    `now` replaces what you have for the user and first day. It is null if the timesheet was reopened and is not
    approved again. Decisions of the last minute before `since` are listed too, because they may have been stored after
    the export was read. If `now` is what you have, there is nothing to do.
    """
    query = ChangesQuery(since, scope, include_indirect)
    body = await tx.report(payroll_changes.list_changes, query, at=now)
    response = await json_response(
        tx, body, lambda session, actor, out: payroll_changes.write_changes(session, actor, query, out, at=now)
    )
    set_as_of(response, now)
    return response

"""Exports of entries in three formats, with the same filters and the same rows."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Security
from starlette.responses import StreamingResponse

from app.api.dependencies.authentication import UserTransactionRunner, require_manager
from app.api.dependencies.parameters import DateRange, Now, set_as_of
from app.api.dependencies.report_parameters import (
    AttributionQuery,
    CsvDialectDep,
    IncludeIndirect,
    OnlyQuery,
    ScopeQuery,
)
from app.api.dependencies.streaming import stream_response
from app.api.openapi.error_responses import error_responses
from app.api.openapi.files import file_response
from app.api.v1.shared_errors import EXPORT_ERRORS, PERIOD_ERRORS, ROLE_ERRORS
from app.core.database.session import Session
from app.core.observability.metrics import EXPORT_ROWS
from app.core.security.access_tokens import TokenScope
from app.core.server.spool import Write
from app.core.spreadsheet import STANDARD_DIALECT, CsvDialect
from app.schemas.reports.report import Attribution, ExportColumns, ExportFormat, ReportScope
from app.services.access.actor import Actor
from app.services.exports import exports
from app.services.exports.exports import ExportQuery
from app.services.exports.files import file_name
from app.services.exports.xlsx import TooManyRows

router = APIRouter(prefix="/reports/export", tags=["exports"])
_ERRORS = (*ROLE_ERRORS, *PERIOD_ERRORS, *EXPORT_ERRORS)
_CONTENT = "One row per entry, sorted by user and start time, streamed."
ColumnsQuery = Annotated[
    ExportColumns,
    Query(
        description="`full` adds ids, time zones, UTC instants, seconds and needs_review to the `basic` columns. "
        "`local_time_zone` is the zone of date, start_time and end_time. `approved` is true in approved timesheets."
    ),
]


@dataclass(frozen=True, slots=True)
class _ExportRequest:
    """Parameters that all formats share."""

    tx: Annotated[UserTransactionRunner, Security(require_manager, scopes=[TokenScope.reports_read])]
    now: Now
    period: DateRange
    include_indirect: IncludeIndirect = False
    scope: ScopeQuery = ReportScope.team
    attribution: AttributionQuery = Attribution.at_start
    only: OnlyQuery = None

    async def stream(
        self, export_format: ExportFormat, columns: ExportColumns, dialect: CsvDialect = STANDARD_DIALECT
    ) -> StreamingResponse:
        query = ExportQuery(
            self.period, self.scope, self.include_indirect, columns, self.attribution, dialect, self.only
        )
        count_rows = EXPORT_ROWS.labels(export_format).inc
        headers: dict[str, str] = {}

        def set_needs_review(count: int) -> None:
            headers["X-Needs-Review"] = str(count)

        def check(session: Session, actor: Actor) -> None:
            users = exports.actor_filter(session, actor, query)
            set_needs_review(exports.count_needing_review(session, users, query, at=self.now))

        def begin(session: Session, actor: Actor) -> None:
            exports.authorize(session, actor, query, export_format, at=self.now)

        def produce(session: Session, actor: Actor, out: Write) -> None:
            users = exports.actor_filter(session, actor, query)
            exports.write(
                session,
                users,
                query,
                export_format,
                out,
                at=self.now,
                on_rows=count_rows,
                on_needs_review=set_needs_review,
            )

        response = await stream_response(
            self.tx,
            begin,
            produce,
            check=check,
            media_type=export_format.media_type,
            file_name=file_name("time_report", self.period, export_format),
            headers=headers,
        )
        set_as_of(response, self.now)
        return response


ExportRequest = Annotated[_ExportRequest, Depends()]


@router.get(
    "/csv",
    summary="Export entries as CSV",
    response_class=StreamingResponse,
    responses=error_responses(*_ERRORS) | file_response(_CONTENT, ExportFormat.csv),
)
async def export_entries_csv(
    export: ExportRequest, dialect: CsvDialectDep, columns: ColumnsQuery = ExportColumns.basic
) -> StreamingResponse:
    """The entries of your team in the period, without your own. If you have no team, the export has your own entries.

    With `attribution=split`, a row is the segment of an entry inside one local day.

    Dates and times are in each entry's time zone, or in `time_zone`. Open entries have no end and no hours.
    `X-Needs-Review` is the number of entries in the file that need review, such as a forgotten clock-out.

    Use `columns=full` for payroll. With `basic`, hours are rounded, and only `date` tells the day. So a night shift has
    an `end_time` before its `start_time`, such as 22:00:00 and 06:00:00.
    """
    return await export.stream(ExportFormat.csv, columns, dialect)


@router.get(
    "/xlsx",
    summary="Export entries as XLSX",
    response_class=StreamingResponse,
    responses=error_responses(*_ERRORS, TooManyRows) | file_response(_CONTENT, ExportFormat.xlsx),
)
async def export_entries_xlsx(export: ExportRequest, columns: ColumnsQuery = ExportColumns.full) -> StreamingResponse:
    """The rows of the CSV export, by default with all columns, as an Excel worksheet with typed dates and numbers. A
    second worksheet has the total of each user.

    The export has at most 1,048,575 rows.
    """
    return await export.stream(ExportFormat.xlsx, columns)


@router.get(
    "/json",
    summary="Export entries as JSON lines",
    response_class=StreamingResponse,
    responses=error_responses(*_ERRORS) | file_response(_CONTENT, ExportFormat.json),
)
async def export_entries_json(export: ExportRequest, columns: ColumnsQuery = ExportColumns.full) -> StreamingResponse:
    """The rows of the CSV export, by default with all columns, as text with one JSON object per line
    (`application/x-ndjson`).

    Parse each line on its own. Texts are unchanged, without the CSV export's protection against formulas.
    """
    return await export.stream(ExportFormat.json, columns)

"""Files for payroll."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from app.api.dependencies import ClaimsDep, DateRange, Now, RuntimeDep, TransactionsDep, as_of
from app.api.problems import raises
from app.api.streaming import NoRoom, streamed
from app.api.transactions import TransactionRoute
from app.api.v1.common import OF_PERIOD, WITH_ROLE
from app.api.v1.reports import AttributionQuery, IncludeIndirect, ScopeQuery
from app.schemas.report import Attribution, Columns, Scope
from app.services import exports
from app.services.exports import ExportWanted

router = APIRouter(prefix="/reports/export", tags=["exports"], route_class=TransactionRoute)


@router.get(
    "/csv",
    summary="Hours as CSV",
    response_class=StreamingResponse,
    responses=raises(*WITH_ROLE, *OF_PERIOD, NoRoom)
    | {
        200: {
            "description": "A row per entry, by employee and start; streamed.",
            "content": {"text/csv": {"schema": {"type": "string", "maxLength": 2**53}}},
        }
    },
)
async def export_csv(
    request: Request,
    claims: ClaimsDep,
    period: DateRange,
    now: Now,
    runtime: RuntimeDep,
    transactions: TransactionsDep,
    columns: Annotated[
        Columns, Query(description="`full` appends ids, zone, UTC instants, seconds, needs_review.")
    ] = Columns.settled,
    include_indirect: IncludeIndirect = False,
    scope: ScopeQuery = Scope.team,
    attribution: AttributionQuery = Attribution.at_start,
) -> StreamingResponse:
    """The team's entries that belong to the period, or your own where you have no team.

    With `attribution=split` a row is the part of an entry inside one local day.

    Dates and times are those of each entry's zone, or of `tz`. Open entries have no end and no hours.
    """
    wanted = ExportWanted(period, scope, include_indirect, columns, attribution)
    actor = await transactions.write(lambda session: exports.begin(session, claims, wanted, at=now))
    file_name = f"time_report_{period.start}_to_{period.end}.csv"
    answer = await streamed(
        runtime,
        request.state.request_id,
        lambda session: exports.csv_chunks(session, actor, wanted, at=now),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"', "Cache-Control": "no-store"},
    )
    as_of(answer, now)
    return answer

"""Monthly timesheets to sign."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_user
from app.api.dependencies.parameters import Now, set_as_of
from app.api.dependencies.streaming import headers_only
from app.api.http.downloads import attachment, file_name_part
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.types import MAX_ID, Month, TimeZoneName
from app.services.access.errors import UserNotFound
from app.services.calendar.periods import month_period
from app.services.reports.user_days import TooManyEntries
from app.services.timesheets import month_sheet
from app.services.timesheets.pdf import render

router = APIRouter(prefix="/reports", tags=["exports"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.reports_read])]
MAX_PDF_BYTES = 2**24
PDF = "application/pdf"


@router.get(
    "/export/pdf",
    summary="Export a monthly timesheet as PDF",
    response_class=Response,
    responses=error_responses(*AUTH_ERRORS, UserNotFound, TooManyEntries)
    | {
        200: {
            "description": "A PDF file in A4 with lines for two signatures.",
            "content": {PDF: {"schema": {"type": "string", "format": "binary", "maxLength": MAX_PDF_BYTES}}},
        }
    },
)
async def export_timesheet_pdf(
    tx: UserTransaction,
    now: Now,
    month: Annotated[Month, Query()],
    user_id: Annotated[
        int | None, Query(ge=1, le=MAX_ID, description="User of the timesheet. If omitted, you.")
    ] = None,
    time_zone: Annotated[
        TimeZoneName | None, Query(description="Time zone of the days. If omitted, each entry's own time zone.")
    ] = None,
) -> Response:
    """Each day of the month with starts, ends and breaks, totals by day, week and month, and entries that need review.

    You can export your own timesheet. As a manager you can also export those of your direct and indirect reports, and
    as an admin all. Entries are split at midnight, as in `GET /reports/me` with `attribution=split`. Open entries are
    shown but not counted.
    """
    period = month_period(month, time_zone)
    if tx.anonymous.is_head:  # no PDF is made, and nothing is recorded
        response: Response = headers_only(PDF, _headers(await tx.read(month_sheet.load_name, user_id), month))
    else:
        await tx.write(month_sheet.authorize, user_id, period, at=now)
        sheet = await tx.report(month_sheet.load, user_id, period, at=now)
        # Take a permit of the report limiter again, now without a connection.
        pdf = await tx.compute(lambda: render(sheet))
        response = Response(pdf, media_type=PDF, headers=_headers(sheet.name, sheet.month))
    set_as_of(response, now)
    return response


def _headers(name: str, month: str) -> dict[str, str]:
    file_name = f"timesheet_{month}_{file_name_part(name)}.pdf"
    return {"Content-Disposition": attachment(file_name), "Cache-Control": "no-store"}

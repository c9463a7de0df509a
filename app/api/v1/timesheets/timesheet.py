"""A month to sign."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import UserTransactions, as_user
from app.api.dependencies.parameters import Now, RuntimeDep, as_of
from app.api.http.problems import raises
from app.api.v1.shared_errors import SIGNED_IN
from app.core.security.access_tokens import TokenScope
from app.schemas.types import MAX_ID, Month, TimeZoneName
from app.services.access.errors import UserNotFound
from app.services.calendar.periods import of_month
from app.services.timesheets import timesheet
from app.services.timesheets.pdf import rendered

router = APIRouter(prefix="/reports", tags=["exports"])
User = Annotated[UserTransactions, Security(as_user, scopes=[TokenScope.reports_read])]
MAX_FILE_BYTES = 2**24


@router.get(
    "/export/pdf",
    summary="A month as a timesheet",
    response_class=Response,
    responses=raises(*SIGNED_IN, UserNotFound)
    | {
        200: {
            "description": "A4, with lines for two signatures.",
            "content": {
                "application/pdf": {"schema": {"type": "string", "format": "binary", "maxLength": MAX_FILE_BYTES}}
            },
        }
    },
)
async def export_timesheet(
    tx: User,
    now: Now,
    runtime: RuntimeDep,
    month: Annotated[Month, Query()],
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Whose; yours if left out.")] = None,
    time_zone: Annotated[
        TimeZoneName | None, Query(description="Days of this zone for all; else each entry's own zone.")
    ] = None,
) -> Response:
    """Every day of the month: starts, ends, breaks, totals by day, week and month, and what needs a look.

    Your own, or as a manager your team's, direct and indirect; as an admin everyone's. Entries are cut at midnight, as
    `GET /reports/me` does with `attribution=split`; open ones are shown and not counted.
    """
    period = of_month(month, time_zone)
    await tx.write(timesheet.begin, user_id, period, at=now)
    sheet = await tx.report(timesheet.of, user_id, period, at=now)
    # Once more in a slot of the reports, now without a connection.
    pdf = await runtime.reports_gate.run(lambda: rendered(sheet), writes=False)
    name = f"timesheet_{sheet.person_id}_{sheet.month}.pdf"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    answer = Response(pdf, media_type="application/pdf", headers=headers)
    as_of(answer, now)
    return answer

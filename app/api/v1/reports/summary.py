"""Hours summed by user, team, project and time."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security
from pydantic import TypeAdapter

from app.api.dependencies.authentication import UserTransactionRunner, require_user
from app.api.dependencies.parameters import DateRange, Now, set_as_of
from app.api.dependencies.report_parameters import AttributionQuery, OnlyQuery
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, PERIOD_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.reports.report import Attribution
from app.schemas.reports.summary import GroupByQuery, Summary, SummaryQuery
from app.schemas.types import MAX_ID
from app.services.calendar.periods import PeriodTooLong
from app.services.reports import summary
from app.services.reports.summary_gaps import SummaryTooLarge

router = APIRouter(prefix="/reports", tags=["reports"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.reports_read])]
_SUMMARY = TypeAdapter(Summary)


@router.get(
    "/summary",
    summary="Get hours by group",
    response_model=Summary,
    responses=error_responses(*AUTH_ERRORS, *PERIOD_ERRORS, PeriodTooLong, SummaryTooLarge),
)
async def get_hours_summary(
    tx: UserTransaction,
    period: DateRange,
    now: Now,
    group_by: Annotated[GroupByQuery, Query()],
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only hours of this user.")] = None,
    team_id: Annotated[
        int | None, Query(ge=1, le=MAX_ID, description="Only hours of this manager's direct reports.")
    ] = None,
    project_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only hours on this project.")] = None,
    fill: Annotated[
        bool, Query(description="Also return rows with 0 hours for days, active users and active projects.")
    ] = False,
    attribution: AttributionQuery = Attribution.at_start,
    only: OnlyQuery = None,
) -> Response:
    """The hours of closed entries that you may see, summed by group.

    You see your own hours. As a manager you also see those of your direct and indirect reports, and as an admin all
    hours. The period has at most 400 days and the response at most 100,000 rows. `team` groups by the current manager
    of each user: a team is a manager's direct reports.
    """
    query = SummaryQuery(group_by, attribution, user_id, team_id, project_id, fill, only)
    result = await tx.report(summary.summarize, period, query, at=now)
    response = Response(_SUMMARY.dump_json(result), media_type="application/json")
    set_as_of(response, now)
    return response

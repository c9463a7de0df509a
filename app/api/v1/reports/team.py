"""Team report and personal report."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_manager, require_user
from app.api.dependencies.parameters import DateRange, Now, set_as_of
from app.api.dependencies.report_parameters import AttributionQuery, IncludeIndirect, ScopeQuery
from app.api.http.problems import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, PERIOD_ERRORS, ROLE_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.reports.report import Attribution, PersonalReport, ReportScope, TeamMemberHours
from app.services.calendar.periods import PeriodTooLong
from app.services.reports import team as reports

router = APIRouter(prefix="/reports", tags=["reports"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.reports_read])]
ManagerTransaction = Annotated[UserTransactionRunner, Security(require_manager, scopes=[TokenScope.reports_read])]


@router.get("/me", summary="Get my report", responses=error_responses(*AUTH_ERRORS, *PERIOD_ERRORS, PeriodTooLong))
async def get_my_report(
    tx: UserTransaction,
    period: DateRange,
    now: Now,
    response: Response,
    attribution: AttributionQuery = Attribution.at_start,
) -> PersonalReport:
    """Each day of the period with its hours, first start, last end, breaks and entries. At most 400 days."""
    set_as_of(response, now)
    return await tx.read(reports.personal_report, period, attribution=attribution, at=now)


@router.get(
    "/team",
    summary="Get my team's report",
    response_model=list[TeamMemberHours],
    responses=error_responses(*ROLE_ERRORS, *PERIOD_ERRORS, PeriodTooLong),
)
async def get_team_report(
    tx: ManagerTransaction,
    period: DateRange,
    now: Now,
    include_entries: Annotated[
        bool, Query(description="`false` omits the entries. Then the period may be longer than 400 days.")
    ] = True,
    include_indirect: IncludeIndirect = False,
    scope: ScopeQuery = ReportScope.team,
    attribution: AttributionQuery = Attribution.at_start,
) -> Response:
    """The hours of closed entries in the period for each user, and the entries, oldest first.

    Open entries are listed but not counted. With `attribution=split`, each item is the segment of an entry inside one
    local day.
    """
    team = await tx.report(
        reports.team_report,
        period,
        attribution=attribution,
        scope=scope,
        include_indirect=include_indirect,
        include_entries=include_entries,
        at=now,
    )
    response = Response(team, media_type="application/json")
    set_as_of(response, now)
    return response

"""Team report and personal report."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_manager, require_user
from app.api.dependencies.parameters import DateRange, Now, set_as_of
from app.api.dependencies.report_parameters import AttributionQuery, IncludeIndirect, OnlyQuery, ScopeQuery
from app.api.dependencies.streaming import json_response
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, PERIOD_ERRORS, ROLE_ERRORS, STREAM_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.reports.report import Attribution, PersonalReport, ReportScope, TeamMemberHours
from app.services.calendar.periods import PeriodTooLong
from app.services.reports import personal, team
from app.services.reports.team import TeamReportQuery
from app.services.reports.user_days import TooManyEntries

router = APIRouter(prefix="/reports", tags=["reports"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.reports_read])]
ManagerTransaction = Annotated[UserTransactionRunner, Security(require_manager, scopes=[TokenScope.reports_read])]


@router.get(
    "/me",
    summary="Get my report",
    response_model=PersonalReport,
    responses=error_responses(*AUTH_ERRORS, *PERIOD_ERRORS, *STREAM_ERRORS, PeriodTooLong, TooManyEntries),
)
async def get_my_report(
    tx: UserTransaction,
    period: DateRange,
    now: Now,
    attribution: AttributionQuery = Attribution.at_start,
) -> Response:
    """Each day of the period with its hours, first start, last end, breaks and entries.

    At most 400 days and 20,000 entries.
    """
    body = await tx.read(personal.personal_report, period, attribution=attribution, at=now)
    response = await json_response(
        tx,
        body,
        lambda session, actor, out: personal.write_personal_report(
            session, actor, period, out, attribution=attribution, at=now
        ),
    )
    set_as_of(response, now)
    return response


@router.get(
    "/team",
    summary="Get my team's report",
    response_model=list[TeamMemberHours],
    responses=error_responses(*ROLE_ERRORS, *PERIOD_ERRORS, *STREAM_ERRORS, PeriodTooLong),
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
    only: OnlyQuery = None,
) -> Response:
    """The hours of closed entries in the period for each user, and the entries, oldest first.

    An admin without a team gets an empty list; `scope=all` has all users. Open entries are listed but not counted.
    With `attribution=split`, each item is the segment of an entry inside one local day.
    """
    query = TeamReportQuery(period, attribution, scope, include_indirect, include_entries, only)
    body = await tx.report(team.team_report, query, at=now)
    response = await json_response(
        tx, body, lambda session, actor, out: team.write_team_report(session, actor, query, out, at=now)
    )
    set_as_of(response, now)
    return response

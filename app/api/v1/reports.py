"""Hours of a team."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from app.api.dependencies import DateRange, Manager, Now, SessionDep, as_of
from app.api.problems import raises
from app.api.transactions import ReportRoute
from app.api.v1.common import OF_PERIOD, WITH_ROLE
from app.schemas.report import Scope, TeamMemberHours
from app.services import reports
from app.services.errors import PeriodTooLong

router = APIRouter(prefix="/reports", tags=["reports"], route_class=ReportRoute)
_team_hours = TypeAdapter(list[TeamMemberHours])

IncludeIndirect = Annotated[bool, Query(description="The whole tree below, not only direct reports.")]
ScopeQuery = Annotated[Scope, Query(description="`all` is everyone, for admins.")]


@router.get(
    "/team",
    summary="My team's hours",
    response_model=list[TeamMemberHours],
    responses=raises(*WITH_ROLE, *OF_PERIOD, PeriodTooLong),
)
def read_team(
    session: SessionDep,
    actor: Manager,
    period: DateRange,
    now: Now,
    include_entries: Annotated[bool, Query(description="False leaves the entries out: at most 400 days with.")] = True,
    include_indirect: IncludeIndirect = False,
    scope: ScopeQuery = Scope.team,
) -> Response:
    """Per person the seconds and hours of closed entries that start in the period, with those entries, oldest first.

    Open entries are shown and not counted.
    """
    team = reports.team(
        session,
        actor,
        period,
        scope=scope,
        include_indirect=include_indirect,
        include_entries=include_entries,
        at=now,
    )
    answer = Response(_team_hours.dump_json(team), media_type="application/json")
    as_of(answer, now)
    return answer

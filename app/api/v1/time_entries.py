"""Read one's own hours."""

from fastapi import APIRouter, Response
from pydantic import TypeAdapter

from app.api.dependencies import CurrentUser, DateRange, Now, SessionDep, as_of
from app.api.problems import raises
from app.api.transactions import TransactionRoute
from app.api.v1.common import OF_PERIOD, SIGNED_IN
from app.schemas.time_entry import TimeEntryWithProject
from app.services import time_entries

router = APIRouter(prefix="/time-entries", tags=["time entries"], route_class=TransactionRoute)
_own_entries = TypeAdapter(list[TimeEntryWithProject])


@router.get(
    "/current",
    summary="My open entry",
    response_model=TimeEntryWithProject,
    responses=raises(*SIGNED_IN) | {204: {"description": "You are not clocked in."}},
)
def read_current(session: SessionDep, actor: CurrentUser, now: Now) -> TimeEntryWithProject | Response:
    """The entry that is running now, with its project; 204 when the clock stands still."""
    return time_entries.current(session, actor, at=now) or Response(status_code=204)


@router.get(
    "/me",
    summary="My hours",
    response_model=list[TimeEntryWithProject],
    responses=raises(*SIGNED_IN, *OF_PERIOD),
)
def read_own(session: SessionDep, actor: CurrentUser, period: DateRange, now: Now) -> Response:
    """Your entries that start in the period, newest first. Days are days of each entry's zone, or of `tz`."""
    entries = time_entries.own(session, actor, period, at=now)
    answer = Response(_own_entries.dump_json(entries), media_type="application/json")
    as_of(answer, now)
    return answer

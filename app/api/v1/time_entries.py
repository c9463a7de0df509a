"""Clock in, clock out, and read one's own hours."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from app.api.dependencies import Caller, CurrentUser, DateRange, Now, PathId, SessionDep, as_of
from app.api.problems import raises
from app.api.transactions import TransactionRoute
from app.api.v1.common import OF_PERIOD, SIGNED_IN
from app.schemas.time_entry import ClockIn, TimeEntryRead, TimeEntryWithProject
from app.services import time_entries
from app.services.errors import (
    AlreadyClockedIn,
    AlreadyClockedOut,
    ClockBehind,
    EntryNotFound,
    NotClockedIn,
    NotYourEntry,
    ProjectInactive,
    ProjectNotFound,
)

router = APIRouter(prefix="/time-entries", tags=["time entries"], route_class=TransactionRoute)
_own_entries = TypeAdapter(list[TimeEntryWithProject])


@router.post(
    "/clock-in",
    summary="Clock in",
    responses=raises(*SIGNED_IN, ProjectNotFound, AlreadyClockedIn, ProjectInactive, ClockBehind),
)
def clock_in(
    body: ClockIn,
    session: SessionDep,
    caller: Caller,
    now: Now,
    switch: Annotated[bool, Query(description="Close the open entry at the same instant.")] = False,
) -> TimeEntryRead:
    """Start the clock on a project. You can have one open entry at a time; the time is the server's."""
    return time_entries.clock_in(session, caller, body, switch=switch, at=now)


@router.post("/clock-out", summary="Clock out", responses=raises(*SIGNED_IN, NotClockedIn, ClockBehind))
def clock_out_open(session: SessionDep, caller: Caller, now: Now) -> TimeEntryRead:
    """Stop the clock, whichever entry is open."""
    return time_entries.clock_out_open(session, caller, at=now)


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


@router.post(
    "/{entry_id}/clock-out",
    summary="Clock out of an entry",
    responses=raises(*SIGNED_IN, NotYourEntry, EntryNotFound, AlreadyClockedOut, ClockBehind),
)
def clock_out(entry_id: PathId, session: SessionDep, caller: Caller, now: Now) -> TimeEntryRead:
    """Stop the clock of this entry of yours."""
    return time_entries.clock_out(session, caller, entry_id, at=now)

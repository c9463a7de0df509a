"""Clock in, clock out."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.dependencies.parameters import Caller, IdempotencyKey, Now, PathEntryId, SessionDep, answer_of
from app.api.dependencies.transactions import TransactionRoute
from app.api.http.problems import raises
from app.api.v1.shared_errors import ONCE, SIGNED_IN
from app.schemas.time_entries.clock import ClockIn
from app.schemas.time_entries.entry import TimeEntryRead
from app.services.projects.errors import ProjectInactive, ProjectNotFound
from app.services.time_entries import clock
from app.services.time_entries.errors import (
    AlreadyClockedIn,
    AlreadyClockedOut,
    ClockBehind,
    EntryNotFound,
    NotClockedIn,
    NotYourEntry,
)

router = APIRouter(prefix="/time-entries", tags=["time entries"], route_class=TransactionRoute)


@router.post(
    "/clock-in",
    summary="Clock in",
    response_model=TimeEntryRead,
    responses=raises(*SIGNED_IN, *ONCE, ProjectNotFound, AlreadyClockedIn, ProjectInactive, ClockBehind),
)
def clock_in(
    body: ClockIn,
    session: SessionDep,
    caller: Caller,
    now: Now,
    switch: Annotated[bool, Query(description="Close the open entry at the same instant.")] = False,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Start the clock on a project. You can have one open entry at a time; the time is the server's."""
    return answer_of(clock.clock_in(session, caller, body, switch=switch, key=idempotency_key, at=now))


@router.post(
    "/clock-out",
    summary="Clock out",
    response_model=TimeEntryRead,
    responses=raises(*SIGNED_IN, *ONCE, NotClockedIn, ClockBehind),
)
def clock_out_open(session: SessionDep, caller: Caller, now: Now, idempotency_key: IdempotencyKey = None) -> Response:
    """Stop the clock, whichever entry is open."""
    return answer_of(clock.clock_out_open(session, caller, key=idempotency_key, at=now))


@router.post(
    "/{entry_id}/clock-out",
    summary="Clock out of an entry",
    response_model=TimeEntryRead,
    responses=raises(*SIGNED_IN, *ONCE, NotYourEntry, EntryNotFound, AlreadyClockedOut, ClockBehind),
)
def clock_out(
    entry_id: PathEntryId,
    session: SessionDep,
    caller: Caller,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Stop the clock of this entry of yours."""
    return answer_of(clock.clock_out(session, caller, entry_id, key=idempotency_key, at=now))

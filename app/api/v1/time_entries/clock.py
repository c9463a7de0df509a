"""Clock in, clock out."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import ClaimsTransactions, with_claims
from app.api.dependencies.parameters import IdempotencyKey, Now, PathEntryId, answer_of
from app.api.http.problems import raises
from app.api.v1.shared_errors import ONCE, SIGNED_IN
from app.core.security.access_tokens import TokenScope
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

router = APIRouter(prefix="/time-entries", tags=["time entries"])
User = Annotated[ClaimsTransactions, Security(with_claims, scopes=[TokenScope.entries_write])]


@router.post(
    "/clock-in",
    summary="Clock in",
    response_model=TimeEntryRead,
    responses=raises(*SIGNED_IN, *ONCE, ProjectNotFound, AlreadyClockedIn, ProjectInactive, ClockBehind),
)
async def clock_in(
    body: ClockIn,
    tx: User,
    now: Now,
    switch: Annotated[bool, Query(description="Close the open entry at the same instant.")] = False,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Start the clock on a project. You can have one open entry at a time; the time is the server's."""
    return answer_of(await tx.write(clock.clock_in, body, switch=switch, key=idempotency_key, at=now))


@router.post(
    "/clock-out",
    summary="Clock out",
    response_model=TimeEntryRead,
    responses=raises(*SIGNED_IN, *ONCE, NotClockedIn, ClockBehind),
)
async def clock_out_open(tx: User, now: Now, idempotency_key: IdempotencyKey = None) -> Response:
    """Stop the clock, whichever entry is open."""
    return answer_of(await tx.write(clock.clock_out_open, key=idempotency_key, at=now))


@router.post(
    "/{entry_id}/clock-out",
    summary="Clock out of an entry",
    response_model=TimeEntryRead,
    responses=raises(*SIGNED_IN, *ONCE, NotYourEntry, EntryNotFound, AlreadyClockedOut, ClockBehind),
)
async def clock_out(
    entry_id: PathEntryId,
    tx: User,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Stop the clock of this entry of yours."""
    return answer_of(await tx.write(clock.clock_out, entry_id, key=idempotency_key, at=now))

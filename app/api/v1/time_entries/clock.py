"""Clock in and clock out."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import ClaimsTransactionRunner, require_claims
from app.api.dependencies.parameters import IdempotencyKey, Now, PathEntryId, entry_response
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, IDEMPOTENCY_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.time_entries.clock import ClockIn
from app.schemas.time_entries.entry import TimeEntryRead
from app.services.projects.errors import ProjectInactive, ProjectNotFound
from app.services.time_entries import clock
from app.services.time_entries.errors import (
    AlreadyClockedIn,
    AlreadyClockedOut,
    EntryNotFound,
    NotClockedIn,
    NotYourEntry,
    ServerClockSkew,
)

router = APIRouter(prefix="/time-entries", tags=["time entries"])
ClaimsTransaction = Annotated[ClaimsTransactionRunner, Security(require_claims, scopes=[TokenScope.entries_write])]


@router.post(
    "/clock-in",
    summary="Clock in",
    response_model=TimeEntryRead,
    responses=error_responses(
        *AUTH_ERRORS, *IDEMPOTENCY_ERRORS, ProjectNotFound, AlreadyClockedIn, ProjectInactive, ServerClockSkew
    ),
)
async def clock_in(
    body: ClockIn,
    tx: ClaimsTransaction,
    now: Now,
    switch: Annotated[bool, Query(description="If you have an open entry, close it at the same instant.")] = False,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Open an entry on a project. It starts at the server's current time. You can have only one open entry."""
    return entry_response(await tx.write(clock.clock_in, body, switch=switch, key=idempotency_key, at=now))


@router.post(
    "/clock-out",
    summary="Clock out",
    response_model=TimeEntryRead,
    responses=error_responses(*AUTH_ERRORS, *IDEMPOTENCY_ERRORS, NotClockedIn, ServerClockSkew),
)
async def clock_out(tx: ClaimsTransaction, now: Now, idempotency_key: IdempotencyKey = None) -> Response:
    """Close your open entry at the server's current time."""
    return entry_response(await tx.write(clock.clock_out_open, key=idempotency_key, at=now))


@router.post(
    "/{entry_id}/clock-out",
    summary="Clock out of an entry",
    response_model=TimeEntryRead,
    responses=error_responses(
        *AUTH_ERRORS, *IDEMPOTENCY_ERRORS, NotYourEntry, EntryNotFound, AlreadyClockedOut, ServerClockSkew
    ),
)
async def clock_out_entry(
    entry_id: PathEntryId,
    tx: ClaimsTransaction,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Close this open entry of yours at the server's current time."""
    return entry_response(await tx.write(clock.clock_out, entry_id, key=idempotency_key, at=now))

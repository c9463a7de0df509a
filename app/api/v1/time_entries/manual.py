"""Manual entries and corrections, one at a time or in bulk."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, Security

from app.api.dependencies.authentication import ClaimsTransactionRunner, require_claims
from app.api.dependencies.parameters import IdempotencyKey, IfMatch, Now, PathEntryId, with_etag
from app.api.http.response_headers import set_location
from app.api.openapi.error_responses import error_responses
from app.api.v1.paths import ENTRY_PATH
from app.api.v1.shared_errors import AUTH_ERRORS, IDEMPOTENCY_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.time_entries.entry import TimeEntryRead
from app.schemas.time_entries.manual import BulkRequest, BulkResponse, TimeEntryCreate, TimeEntryUpdate
from app.schemas.types import Reason
from app.services.access.errors import UserNotFound
from app.services.period_locks import EntryLocked, PeriodLocked
from app.services.projects.errors import ProjectInactive, ProjectNotFound
from app.services.time_entries import bulk, manual
from app.services.time_entries.errors import (
    BulkRejected,
    EditWindowClosed,
    EntryChanged,
    EntryInFuture,
    EntryNotFound,
    EntryOverlaps,
    EntryStillOpen,
    EntryTooEarly,
    EntryTooLong,
    EntryTooShort,
    ReasonRequired,
)

router = APIRouter(prefix="/time-entries", tags=["time entries"])
ClaimsTransaction = Annotated[ClaimsTransactionRunner, Security(require_claims, scopes=[TokenScope.entries_write])]
TIME_ERRORS = (
    PeriodLocked,
    EntryLocked,
    EditWindowClosed,
    EntryTooEarly,
    EntryTooShort,
    EntryTooLong,
    EntryInFuture,
    EntryOverlaps,
    ReasonRequired,
)
PROJECT_ERRORS = (ProjectNotFound, ProjectInactive)


@router.post(
    "",
    summary="Create an entry",
    status_code=201,
    responses=error_responses(*AUTH_ERRORS, *IDEMPOTENCY_ERRORS, *TIME_ERRORS, *PROJECT_ERRORS, UserNotFound),
)
async def create_entry(
    body: TimeEntryCreate,
    tx: ClaimsTransaction,
    now: Now,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> TimeEntryRead:
    """Add time that was worked but not clocked. To add it for another user, send `user_id` and `reason`."""
    entry = await tx.write(manual.create_entry, body, key=idempotency_key, at=now)
    set_location(request, response, entry.id)
    return with_etag(response, entry)


@router.post(
    "/bulk",
    summary="Change entries in bulk",
    responses=error_responses(*AUTH_ERRORS, *IDEMPOTENCY_ERRORS, BulkRejected, UserNotFound),
)
async def bulk_change_entries(
    body: BulkRequest, tx: ClaimsTransaction, now: Now, idempotency_key: IdempotencyKey = None
) -> BulkResponse:
    """Create, change and delete entries with up to 500 operations. They are applied in order, all or none.

    If any is rejected, `errors` lists the first 100: `loc` has the index, `type` the error code.
    Each operation counts as one request in the rate limit.
    """
    tx.count_operations(len(body.operations))
    return await tx.write(bulk.apply, body, key=idempotency_key, at=now)


@router.patch(
    ENTRY_PATH,
    summary="Correct an entry",
    responses=error_responses(*AUTH_ERRORS, *TIME_ERRORS, *PROJECT_ERRORS, EntryNotFound, EntryChanged, EntryStillOpen),
)
async def update_entry(
    entry_id: PathEntryId,
    body: TimeEntryUpdate,
    tx: ClaimsTransaction,
    now: Now,
    response: Response,
    versions: IfMatch,
) -> TimeEntryRead:
    """Change some fields of an entry. To fix a forgotten clock-out, send `end_time` and `reason`.

    New times or `needs_review: false` mark a closed entry as reviewed.
    """
    return with_etag(response, await tx.write(manual.update_entry, entry_id, body, versions=versions, at=now))


@router.delete(
    ENTRY_PATH,
    summary="Delete an entry",
    status_code=204,
    responses=error_responses(*AUTH_ERRORS, EntryNotFound, EntryChanged, PeriodLocked, EntryLocked, EditWindowClosed),
)
async def delete_entry(
    entry_id: PathEntryId,
    tx: ClaimsTransaction,
    now: Now,
    versions: IfMatch,
    reason: Annotated[Reason, Query(description="Reason for the deletion, kept in the history.")],
) -> None:
    """Delete an entry. Users who may see the entry's user can still read its history."""
    await tx.write(manual.delete_entry, entry_id, reason=reason, versions=versions, at=now)

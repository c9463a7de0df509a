"""Write and correct entries by hand, one by one or many at once."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import UserTransactions, as_user
from app.api.dependencies.parameters import IdempotencyKey, IfMatch, Now, PathEntryId, tagged
from app.api.http.problems import raises
from app.api.v1.paths import ENTRY
from app.api.v1.shared_errors import ONCE, SIGNED_IN
from app.core.security.access_tokens import TokenScope
from app.schemas.time_entries.entry import TimeEntryRead
from app.schemas.time_entries.manual import Bulk, BulkAnswer, EntryCreate, EntryUpdate
from app.schemas.types import Reason
from app.services.access.errors import UserNotFound
from app.services.projects.errors import ProjectInactive, ProjectNotFound
from app.services.time_entries import bulk, manual
from app.services.time_entries.errors import (
    BulkRefused,
    EditWindowClosed,
    EntryChanged,
    EntryInFuture,
    EntryNotFound,
    EntryOverlaps,
    EntryStillRuns,
    EntryTooLong,
    EntryTooShort,
    ReasonNeeded,
)

router = APIRouter(prefix="/time-entries", tags=["time entries"])
User = Annotated[UserTransactions, Security(as_user, scopes=[TokenScope.entries_write])]
OF_TIMES = (EditWindowClosed, EntryTooShort, EntryTooLong, EntryInFuture, EntryOverlaps, ReasonNeeded)
OF_PROJECT = (ProjectNotFound, ProjectInactive)


@router.post(
    "",
    summary="Enter time by hand",
    status_code=201,
    responses=raises(*SIGNED_IN, *ONCE, *OF_TIMES, *OF_PROJECT, UserNotFound),
)
async def create_entry(
    body: EntryCreate,
    tx: User,
    now: Now,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> TimeEntryRead:
    """Time that was worked and not clocked. For somebody whom you may act for, send `user_id` and `reason`."""
    return tagged(response, await tx.write(manual.create, body, key=idempotency_key, at=now))


@router.post("/bulk", summary="Many entries at once", responses=raises(*SIGNED_IN, *ONCE, BulkRefused, UserNotFound))
async def change_many(body: Bulk, tx: User, now: Now, idempotency_key: IdempotencyKey = None) -> BulkAnswer:
    """Up to 500 creations, changes and deletions, in this order, all or none: `errors` names each that was refused."""
    return await tx.write(bulk.apply, body, key=idempotency_key, at=now)


@router.patch(
    ENTRY,
    summary="Correct an entry",
    responses=raises(*SIGNED_IN, *OF_TIMES, *OF_PROJECT, EntryNotFound, EntryChanged, EntryStillRuns),
)
async def change_entry(
    entry_id: PathEntryId,
    body: EntryUpdate,
    tx: User,
    now: Now,
    response: Response,
    versions: IfMatch,
) -> TimeEntryRead:
    """What you leave out stays. A forgotten clock-out is one call: `end_time` and `reason`.

    New times, or `needs_review: false`, say that a person has looked at it.
    """
    return tagged(response, await tx.write(manual.change, entry_id, body, versions=versions, at=now))


@router.delete(
    ENTRY,
    summary="Delete an entry",
    status_code=204,
    responses=raises(*SIGNED_IN, EntryNotFound, EntryChanged, EditWindowClosed),
)
async def delete_entry(
    entry_id: PathEntryId,
    tx: User,
    now: Now,
    versions: IfMatch,
    reason: Annotated[Reason, Query(description="Why; it stays in the entry's history.")],
) -> None:
    """The hours are gone; the history stays readable to whoever may see the person."""
    await tx.write(manual.remove, entry_id, reason=reason, versions=versions, at=now)

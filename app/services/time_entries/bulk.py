"""Bulk corrections: several operations in one transaction, all or none, with the rules of single corrections."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select

from app.core.database.session import Session
from app.core.errors import DomainError
from app.models.tables import ENTRY, USER
from app.models.users import User
from app.schemas.time_entries.manual import (
    BulkChange,
    BulkCreate,
    BulkDelete,
    BulkOperationResult,
    BulkRequest,
    BulkResponse,
)
from app.services import idempotency
from app.services.access import locks, visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.time_entries import entries as time_entries
from app.services.time_entries import manual
from app.services.time_entries.errors import BulkRejected, EntryNotFound

BulkOperation = BulkCreate | BulkChange | BulkDelete


class _StoredResult(BulkOperationResult):
    """A result without its entry. Version 0.9 stored the entry, and reads a result without one."""

    is_written: bool = False


class _StoredResponse(BaseModel):
    """The reference that is stored instead of a response, which can have several megabytes."""

    results: list[_StoredResult]


def apply(session: Session, actor: Actor, data: BulkRequest, *, key: str | None, at: datetime) -> BulkResponse:
    """Apply the operations in order, once per Idempotency-Key. A change without a difference has no entry as result.

    A retry returns the entries as they are now.

    Raises BulkRejected with the index and error of every rejected operation. Each operation is checked as if the
    rejected operations before it were not in the request. Raises IdempotencyKeyReused and RequestInFlight. Raises
    UserNotFound if a stored response contains entries of a user whom the actor may no longer see.
    """
    request = idempotency.for_key(key, "bulk", data.model_dump_json())
    owner_ids = _visible_owner_ids(session, actor, data.operations)
    with idempotency.conflict_on_lock_timeout(request):
        owners = {user.id: user for user in locks.lock_users(session, actor.id, *owner_ids)}
    if stored := idempotency.find_response(session, actor.id, request, _StoredResponse, at=at):
        return _rebuild_response(session, actor, stored, at=at)
    results: list[BulkOperationResult] = []
    rejected: list[dict[str, Any]] = []
    for index, operation in enumerate(data.operations):
        try:
            results.append(_apply_operation(session, actor, owners, operation, at=at))
        except DomainError as error:
            loc = ["body", "operations", index]
            rejected.append({"loc": loc, "message": error.detail, "type": error.code})
    if rejected:
        raise BulkRejected(
            f"{len(rejected)} of {len(data.operations)} operations were rejected, so none was applied. See `errors`.",
            errors=rejected[:100],
        )
    idempotency.store_response(session, actor.id, request, _as_stored(results), at=at)
    return BulkResponse.model_construct(results=results)


def _as_stored(results: list[BulkOperationResult]) -> _StoredResponse:
    references = [
        _StoredResult.model_construct(
            action=result.action, id=result.id, entry=None, is_written=result.entry is not None
        )
        for result in results
    ]
    return _StoredResponse.model_construct(results=references)


def _rebuild_response(session: Session, actor: Actor, stored: _StoredResponse, *, at: datetime) -> BulkResponse:
    """Return the response with the entries as they are now. An entry deleted since is None. Raises UserNotFound."""
    ids = {result.id for result in stored.results if result.is_written or result.entry is not None}
    rows = session.execute(select(ENTRY).where(ENTRY.c.id.in_(ids)))
    entries = {row.id: time_entries.as_response(session, dict(row._mapping), now=at) for row in rows}
    visibility.require_visible(session, actor, {entry.user_id for entry in entries.values()})
    results = [
        BulkOperationResult.model_construct(action=result.action, id=result.id, entry=entries.get(result.id))
        for result in stored.results
    ]
    return BulkResponse.model_construct(results=results)


def _visible_owner_ids(session: Session, actor: Actor, operations: list[BulkOperation]) -> list[int]:
    """Return the ids of the users whose entries the operations concern, if the actor may see them."""
    user_ids = {each.user_id for each in operations if isinstance(each, BulkCreate) and each.user_id is not None}
    entry_ids = [each.id for each in operations if not isinstance(each, BulkCreate)]
    owners = select(ENTRY.c.user_id).where(ENTRY.c.id.in_(entry_ids))
    visible = select(USER.c.id).where(
        visibility.visible_to(actor, USER.c.id), USER.c.id.in_(user_ids) | USER.c.id.in_(owners)
    )
    return list(session.execute(visible).scalars())


def _apply_operation(
    session: Session, actor: Actor, owners: dict[int | None, User], operation: BulkOperation, *, at: datetime
) -> BulkOperationResult:
    match operation:
        case BulkCreate():
            owner = owners.get(operation.user_id or actor.id)
            if owner is None:
                raise UserNotFound("There is no user with this id that you may see.")
            created = manual.create_locked(session, actor, owner, operation, at=at)
            return BulkOperationResult.model_construct(action="create", id=created.id, entry=created)
        case BulkChange():
            entry = _load_locked(session, actor, owners, operation)
            updated = manual.update_locked(session, actor, entry, operation, at=at)
            written = None if updated.version == entry["version"] else updated
            return BulkOperationResult.model_construct(action="change", id=updated.id, entry=written)
        case BulkDelete():
            entry = _load_locked(session, actor, owners, operation)
            manual.delete_locked(session, actor, entry, reason=operation.reason, at=at)
            return BulkOperationResult.model_construct(action="delete", id=operation.id, entry=None)


def _load_locked(
    session: Session, actor: Actor, owners: dict[int | None, User], operation: BulkChange | BulkDelete
) -> time_entries.EntryValues:
    versions = None if operation.version is None else frozenset({operation.version})
    entry = manual.load_locked(session, actor, operation.id, versions)
    if entry["user_id"] not in owners:  # inserted after the locks were taken
        raise EntryNotFound("There is no entry with this id that you may see.")
    return entry

"""Bulk corrections: several operations in one transaction, all or none, with the rules of single corrections."""

from datetime import datetime
from typing import Any

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


def apply(session: Session, actor: Actor, data: BulkRequest, *, key: str | None, at: datetime) -> BulkResponse:
    """Apply the operations in order, once per Idempotency-Key.

    Raises BulkRejected with the index and error of every rejected operation. Each operation is checked as if the
    rejected operations before it were not in the request. Raises IdempotencyKeyReused and RequestInFlight. Raises
    UserNotFound if a stored response contains entries of a user whom the actor may no longer see.
    """
    request = idempotency.for_key(key, "bulk", data.model_dump_json())
    owner_ids = _visible_owner_ids(session, actor, data.operations)
    with idempotency.conflict_on_lock_timeout(request):
        owners = {user.id: user for user in locks.lock_users(session, actor.id, *owner_ids)}
    if stored_response := idempotency.find_response(session, actor.id, request, BulkResponse, at=at):
        user_ids = {result.entry.user_id for result in stored_response.results if result.entry is not None}
        visibility.require_visible(session, actor, user_ids)
        return stored_response
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
    response = BulkResponse.model_construct(results=results)
    idempotency.store_response(session, actor.id, request, response, at=at)
    return response


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
            updated = manual.update_locked(
                session, actor, _load_locked(session, actor, owners, operation), operation, at=at
            )
            return BulkOperationResult.model_construct(action="change", id=updated.id, entry=updated)
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

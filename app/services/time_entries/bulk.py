"""Bulk corrections: several operations in one transaction, all or none, with the rules of single corrections."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ColumnElement, select

from app.core.database.session import Session
from app.core.errors import DomainError
from app.core.security.access_tokens import Claims
from app.models.tables import ENTRY, USER
from app.schemas.time_entries.manual import (
    BulkChange,
    BulkCreate,
    BulkDelete,
    BulkOperationResult,
    BulkRequest,
    BulkResponse,
)
from app.services import idempotency
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.time_entries import entries as time_entries
from app.services.time_entries import manual
from app.services.time_entries.errors import BulkRejected

BulkOperation = BulkCreate | BulkChange | BulkDelete


class _StoredResult(BulkOperationResult):
    """A result without its entry. Version 0.9 stored the entry, and reads a result without one."""

    is_written: bool = False


class _StoredResponse(BaseModel):
    """The reference that is stored instead of a response, which can have several megabytes."""

    results: list[_StoredResult]


def apply(session: Session, claims: Claims, data: BulkRequest, *, key: str | None, at: datetime) -> BulkResponse:
    """Apply the operations in order, once per Idempotency-Key. A change without a difference has no entry as result.

    A retry returns the entries as they are now.

    Raises BulkRejected with the index and error of every rejected operation. Each operation is checked as if the
    rejected operations before it were not in the request. Raises IdempotencyKeyReused and RequestInFlight. Raises
    UserNotFound if a stored response contains entries of a user whom the actor may no longer see.
    """
    request = idempotency.for_key(key, "bulk", data.model_dump_json())
    with idempotency.conflict_on_lock_timeout(request):
        actor, zones = visibility.lock_visible(session, claims, _is_owner(data.operations))
    if stored := idempotency.find_response(session, actor.id, request, _StoredResponse, at=at):
        return _rebuild_response(session, actor, stored, at=at)
    results: list[BulkOperationResult] = []
    rejected: list[dict[str, Any]] = []
    for index, operation in enumerate(data.operations):
        try:
            results.append(_apply_operation(session, actor, zones, operation, at=at))
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


def _is_owner(operations: list[BulkOperation]) -> ColumnElement[bool]:
    """Return the condition that one of the operations concerns an entry of the user."""
    user_ids = {each.user_id for each in operations if isinstance(each, BulkCreate) and each.user_id is not None}
    entry_ids = [each.id for each in operations if not isinstance(each, BulkCreate)]
    return USER.c.id.in_(user_ids) | manual.owns_any_of(entry_ids)


def _apply_operation(
    session: Session, actor: Actor, zones: dict[int, str], operation: BulkOperation, *, at: datetime
) -> BulkOperationResult:
    match operation:
        case BulkCreate():
            if (operation.user_id or actor.id) not in zones:
                raise UserNotFound("There is no user with this id that you may see.")
            created = manual.create_locked(session, actor, zones, operation, at=at)
            return BulkOperationResult.model_construct(action="create", id=created.id, entry=created)
        case BulkChange():
            entry = _load_locked(session, zones, operation)
            updated = manual.update_locked(session, actor, entry, operation, at=at)
            written = None if updated.version == entry["version"] else updated
            return BulkOperationResult.model_construct(action="change", id=updated.id, entry=written)
        case BulkDelete():
            entry = _load_locked(session, zones, operation)
            manual.delete_locked(session, actor, entry, reason=operation.reason, at=at)
            return BulkOperationResult.model_construct(action="delete", id=operation.id, entry=None)


def _load_locked(
    session: Session, zones: dict[int, str], operation: BulkChange | BulkDelete
) -> time_entries.EntryValues:
    versions = None if operation.version is None else frozenset({operation.version})
    return manual.load_locked(session, zones, operation.id, versions)

"""Many corrections in one transaction: all or none, each under the rules that it has alone."""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.core.database.session import Session
from app.core.errors import DomainError
from app.models.tables import ENTRY, USER
from app.models.users import User
from app.schemas.time_entries.manual import Bulk, BulkAnswer, BulkChange, BulkCreate, BulkDelete, BulkResult
from app.services import idempotency
from app.services.access import locks, visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.time_entries import entries as time_entries
from app.services.time_entries import manual
from app.services.time_entries.errors import BulkRefused, EntryNotFound

Wanted = BulkCreate | BulkChange | BulkDelete


def apply(session: Session, actor: Actor, wanted: Bulk, *, key: str | None, at: datetime) -> BulkAnswer:
    """Do the operations in their order, once per Idempotency-Key.

    Raises BulkRefused, with every refused operation's index, if any is refused: each is judged as if those refused
    before it weren't there. KeyReused, RequestInFlight; UserNotFound where a kept answer tells of somebody who has left
    the actor's sight.
    """
    request = idempotency.once(key, "bulk", wanted.model_dump_json())
    concerned = _people(session, actor, wanted.operations)
    with idempotency.waiting(request):
        owners = {person.id: person for person in locks.lock(session, actor.id, *concerned)}
    if done := idempotency.answered(session, actor.id, request, BulkAnswer, at=at):
        shown = {result.entry.user_id for result in done.results if result.entry is not None}
        visibility.require_in_sight(session, actor, shown)
        return done
    results: list[BulkResult] = []
    refused: list[dict[str, Any]] = []
    for index, operation in enumerate(wanted.operations):
        try:
            results.append(_do(session, actor, owners, operation, at=at))
        except DomainError as error:
            where = ["body", "operations", index]
            refused.append({"loc": where, "message": error.detail, "type": error.code})
    if refused:
        raise BulkRefused(
            f"{len(refused)} of {len(wanted.operations)} operations were refused, so none was done. See `errors`.",
            errors=refused[:100],
        )
    answer = BulkAnswer.model_construct(results=results)
    idempotency.keep(session, actor.id, request, answer, at=at)
    return answer


def _people(session: Session, actor: Actor, operations: list[Wanted]) -> list[int]:
    """Whose time the operations are about, as far as the actor may see them."""
    named = {each.user_id for each in operations if isinstance(each, BulkCreate) and each.user_id is not None}
    entries = [each.id for each in operations if not isinstance(each, BulkCreate)]
    owners = select(ENTRY.c.user_id).where(ENTRY.c.id.in_(entries))
    seen = select(USER.c.id).where(visibility.in_sight(actor, USER.c.id), USER.c.id.in_(named) | USER.c.id.in_(owners))
    return list(session.execute(seen).scalars())


def _do(session: Session, actor: Actor, owners: dict[int | None, User], wanted: Wanted, *, at: datetime) -> BulkResult:
    match wanted:
        case BulkCreate():
            owner = owners.get(wanted.user_id or actor.id)
            if owner is None:
                raise UserNotFound("There is no such person for you.")
            added = manual.add(session, actor, owner, wanted, at=at)
            return BulkResult.model_construct(action="create", id=added.id, entry=added)
        case BulkChange():
            changed = manual.amend(session, actor, _current(session, actor, owners, wanted), wanted, at=at)
            return BulkResult.model_construct(action="change", id=changed.id, entry=changed)
        case BulkDelete():
            entry = _current(session, actor, owners, wanted)
            manual.drop(session, actor, entry, reason=wanted.reason, at=at)
            return BulkResult.model_construct(action="delete", id=wanted.id, entry=None)


def _current(
    session: Session, actor: Actor, owners: dict[int | None, User], wanted: BulkChange | BulkDelete
) -> time_entries.Entry:
    versions = None if wanted.version is None else frozenset({wanted.version})
    entry = manual.current(session, actor, wanted.id, versions)
    if entry["user_id"] not in owners:  # it came after the locks were taken
        raise EntryNotFound("There is no such entry for you.")
    return entry

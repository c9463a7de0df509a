"""The record as it is read: the history of an entry, and all that happened, for admins."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select, tuple_

from app.core.database.session import Session
from app.core.time.zones import day_start
from app.models.tables import ENTRY, EVENT, USER
from app.schemas.audit import ActorRead, EventFilter, EventRead, HistoryItem
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.audit.recorder import HOUSE, told
from app.services.calendar.periods import Period
from app.services.constraints import EntryNotFound
from app.services.cursors import cursor_behind, keys_of

EVENT_WITH_ACTOR = select(
    EVENT, USER.c.first_name.label("actor_first_name"), USER.c.last_name.label("actor_last_name")
).outerjoin_from(EVENT, USER, USER.c.id == EVENT.c.actor_id)
_ORDER = (EVENT.c.at, EVENT.c.chain_id, EVENT.c.position)


def history(session: Session, actor: Actor, entry_id: int) -> list[HistoryItem]:
    """What happened to an entry, oldest first; also to one that was deleted, for those who may see the person.

    Raises EntryNotFound.
    """
    of_entry = and_(EVENT.c.object_type == "time_entry", EVENT.c.object_id == entry_id)
    rows = session.execute(
        EVENT_WITH_ACTOR.where(of_entry, visibility.in_sight(actor, EVENT.c.chain_id)).order_by(EVENT.c.position)
    ).all()
    seen = select(ENTRY.c.id).where(ENTRY.c.id == entry_id, visibility.in_sight(actor, ENTRY.c.user_id))
    if not rows and session.execute(seen).first() is None:
        raise EntryNotFound("There is no such entry for you.")
    return [HistoryItem.model_construct(**_read(row)) for row in rows]


def page(
    session: Session, wanted: EventFilter, period: Period | None, *, cursor: str | None, limit: int
) -> tuple[list[EventRead], str | None]:
    """A stretch of the events that fit, newest first, and the cursor of the next one. Raises BadCursor."""
    found = EVENT_WITH_ACTOR.where(*_fitting(wanted, period))
    if cursor is not None:
        at, *behind = keys_of(cursor, 3)
        last = tuple_(datetime.fromtimestamp(at, UTC), *behind, types=[column.type for column in _ORDER])
        found = found.where(tuple_(*_ORDER) < last)
    rows = session.execute(found.order_by(*(column.desc() for column in _ORDER)).limit(limit + 1)).all()
    events = [read_event(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return events, None
    last_row = rows[limit - 1]
    return events, cursor_behind(int(last_row.at.timestamp()), last_row.chain_id, last_row.position)


def _fitting(wanted: EventFilter, period: Period | None) -> Iterator[ColumnElement[bool]]:
    if wanted.subject_id is not None:
        yield EVENT.c.chain_id == wanted.subject_id
    if wanted.actor_id is not None:  # in their own chain, or in another's: each has an index
        own = EVENT.c.chain_id == wanted.actor_id
        yield and_(EVENT.c.actor_id == wanted.actor_id, or_(own, EVENT.c.actor_id != EVENT.c.chain_id))
    if wanted.action is not None:
        yield EVENT.c.action == wanted.action
    if wanted.object_type is not None:
        yield EVENT.c.object_type == wanted.object_type
    if wanted.object_id is not None:
        yield EVENT.c.object_id == wanted.object_id
    if period is not None:
        zone = period.zone or "UTC"
        yield EVENT.c.at >= day_start(period.start, zone)
        yield EVENT.c.at < day_start(period.end + timedelta(days=1), zone)


def read_event(row: Row[Any]) -> EventRead:
    """A row of EVENT_WITH_ACTOR as it is answered."""
    return EventRead.model_construct(
        **_read(row),
        subject_id=None if row.chain_id == HOUSE else row.chain_id,
        position=row.position,
        object_type=row.object_type,
        object_id=row.object_id,
    )


def _read(row: Row[Any]) -> dict[str, Any]:
    actor = None
    if row.actor_first_name is not None:
        actor = ActorRead.model_construct(
            id=row.actor_id, first_name=row.actor_first_name, last_name=row.actor_last_name
        )
    return {"at": row.at, "actor": actor, "action": row.action, "request_id": row.request_id} | told(row)

"""The record as admins read it: all that happened, newest first."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select, tuple_

from app.core.database.session import Session
from app.core.pagination import cursor_behind, keys_of
from app.core.time.zones import day_start
from app.models.tables import EVENT, USER
from app.schemas.audit import ActorRead, EventFilter, EventRead
from app.services.access.actor import Actor
from app.services.audit.recorder import HOUSE, told
from app.services.calendar.periods import Period

EVENT_WITH_ACTOR = select(
    EVENT, USER.c.first_name.label("actor_first_name"), USER.c.last_name.label("actor_last_name")
).outerjoin_from(EVENT, USER, USER.c.id == EVENT.c.actor_id)
_ORDER = (EVENT.c.at, EVENT.c.chain_id, EVENT.c.position)


def page(
    session: Session, _actor: Actor, wanted: EventFilter, period: Period | None, *, cursor: str | None, limit: int
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
        **event_fields(row),
        subject_id=None if row.chain_id == HOUSE else row.chain_id,
        position=row.position,
        object_type=row.object_type,
        object_id=row.object_id,
    )


def event_fields(row: Row[Any]) -> dict[str, Any]:
    """The fields of an event for everybody who may see it: when, who, what, before, after, reason, request id."""
    actor = None
    if row.actor_first_name is not None:
        actor = ActorRead.model_construct(
            id=row.actor_id, first_name=row.actor_first_name, last_name=row.actor_last_name
        )
    return {"at": row.at, "actor": actor, "action": row.action, "request_id": row.request_id} | told(row)

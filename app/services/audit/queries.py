"""Queries on the audit log for admins, newest event first."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select, tuple_

from app.core.database.session import Session
from app.core.pagination import decode_cursor, encode_cursor
from app.core.server.spool import json_list
from app.core.time.zones import day_start
from app.models.tables import AUDIT_EVENT, USER
from app.schemas.audit import ActorRead, AuditEventRead, EventFilter
from app.services.access.actor import Actor
from app.services.audit.recorder import ORGANISATION_CHAIN, with_personal_values
from app.services.calendar.periods import Period

EVENT_WITH_ACTOR = select(
    AUDIT_EVENT, USER.c.first_name.label("actor_first_name"), USER.c.last_name.label("actor_last_name")
).outerjoin_from(AUDIT_EVENT, USER, USER.c.id == AUDIT_EVENT.c.actor_id)
_BATCH_SIZE = 50
_ORDER = (AUDIT_EVENT.c.at, AUDIT_EVENT.c.chain_id, AUDIT_EVENT.c.position)


def list_page(
    session: Session, _actor: Actor, filters: EventFilter, period: Period | None, *, cursor: str | None, limit: int
) -> tuple[bytes, str | None]:
    """Return one page of the matching events, newest first, as a JSON list of AuditEventRead.

    Also return the cursor of the next page (None on the last one). An event may have 16 KB, so rows are fetched in
    small batches, and each becomes JSON before the next is read. Raises InvalidCursor.
    """
    query = EVENT_WITH_ACTOR.where(*_conditions(filters, period))
    if cursor is not None:
        at, *remaining_keys = decode_cursor(cursor, 3)
        last = tuple_(datetime.fromtimestamp(at, UTC), *remaining_keys, types=[column.type for column in _ORDER])
        query = query.where(tuple_(*_ORDER) < last)
    query = query.order_by(*(column.desc() for column in _ORDER)).limit(limit + 1)
    events: list[bytes] = []
    next_cursor: str | None = None
    last_row: Row[Any] | None = None
    with session.execute(query, execution_options={"yield_per": _BATCH_SIZE}) as rows:
        for row in rows:
            if len(events) < limit:
                events.append(read_event(row).model_dump_json().encode())
                last_row = row
            elif last_row is not None:
                next_cursor = encode_cursor(int(last_row.at.timestamp()), last_row.chain_id, last_row.position)
    return b"".join(json_list(events)), next_cursor


def _conditions(filters: EventFilter, period: Period | None) -> Iterator[ColumnElement[bool]]:
    if filters.subject_id is not None:
        yield AUDIT_EVENT.c.chain_id == filters.subject_id
    if filters.actor_id is not None:  # split into own chain and other chains, because each part has an index
        own_chain = AUDIT_EVENT.c.chain_id == filters.actor_id
        yield and_(
            AUDIT_EVENT.c.actor_id == filters.actor_id, or_(own_chain, AUDIT_EVENT.c.actor_id != AUDIT_EVENT.c.chain_id)
        )
    if filters.action is not None:
        yield AUDIT_EVENT.c.action == filters.action
    if filters.object_type is not None:
        yield AUDIT_EVENT.c.object_type == filters.object_type
    if filters.object_id is not None:
        yield AUDIT_EVENT.c.object_id == filters.object_id
    if period is not None:
        zone = period.zone or "UTC"
        yield AUDIT_EVENT.c.at >= day_start(period.start, zone)
        yield AUDIT_EVENT.c.at < day_start(period.end + timedelta(days=1), zone)


def read_event(row: Row[Any]) -> AuditEventRead:
    """Build the response for a row of EVENT_WITH_ACTOR."""
    return AuditEventRead.model_construct(
        **event_fields(row),
        subject_id=None if row.chain_id == ORGANISATION_CHAIN else row.chain_id,
        position=row.position,
        object_type=row.object_type,
        object_id=row.object_id,
    )


def event_fields(row: Row[Any]) -> dict[str, Any]:
    """Return the fields that every reader of an event sees: time, actor, action, before, after, reason, request id."""
    actor = None
    if row.actor_first_name is not None:
        actor = ActorRead.model_construct(
            id=row.actor_id, first_name=row.actor_first_name, last_name=row.actor_last_name
        )
    return {"at": row.at, "actor": actor, "action": row.action, "request_id": row.request_id} | with_personal_values(
        row
    )

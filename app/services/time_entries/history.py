"""The history of a time entry, read from the audit log."""

from typing import Any

from sqlalchemy import Row, Select, and_, select

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.session import Session
from app.core.pagination import MAX_OWN_ROWS
from app.core.server.spool import Write, json_list, write_chunks
from app.models.tables import AUDIT_EVENT, ENTRY
from app.schemas.audit import TimeEntryHistoryItem
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.audit.queries import EVENT_WITH_ACTOR, event_fields
from app.services.time_entries.errors import EntryNotFound


def list_history(session: Session, actor: Actor, entry_id: int) -> bytes | None:
    """Return the history of an entry, oldest event first, as a JSON list of TimeEntryHistoryItem.

    A deleted entry keeps its history. Return None if there are more than MAX_OWN_ROWS events; `write_history`
    writes any number of them. Raises EntryNotFound if there is no such entry, or if the actor may not see its user.
    """
    rows = session.execute(_events(actor, entry_id).limit(MAX_OWN_ROWS + 1)).all()
    query = select(ENTRY.c.id).where(ENTRY.c.id == entry_id, visibility.visible_to(actor, ENTRY.c.user_id))
    if not rows and session.execute(query).first() is None:
        raise EntryNotFound("There is no entry with this id that you may see.")
    return None if len(rows) > MAX_OWN_ROWS else b"".join(json_list(map(_as_json, rows)))


def write_history(session: Session, actor: Actor, entry_id: int, out: Write) -> None:
    """Write what `list_history` returns, event by event."""
    session.set_statement_timeout(session.settings.EXPORT_TIMEOUT_SECONDS)
    # Always closed: on SQLite an unfinished result keeps the snapshot of the connection.
    with session.execute(_events(actor, entry_id), execution_options={"yield_per": FETCH_SIZE}) as rows:
        write_chunks(json_list(map(_as_json, rows)), out)


def _events(actor: Actor, entry_id: int) -> Select[Any]:
    is_about_entry = and_(AUDIT_EVENT.c.object_type == "time_entry", AUDIT_EVENT.c.object_id == entry_id)
    visible = visibility.visible_to(actor, AUDIT_EVENT.c.chain_id)
    return EVENT_WITH_ACTOR.where(is_about_entry, visible).order_by(AUDIT_EVENT.c.position)


def _as_json(row: Row[Any]) -> bytes:
    return TimeEntryHistoryItem.model_construct(**event_fields(row)).model_dump_json().encode()

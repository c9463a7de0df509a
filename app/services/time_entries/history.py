"""The history of a time entry, read from the audit log."""

from sqlalchemy import and_, select

from app.core.database.session import Session
from app.models.tables import AUDIT_EVENT, ENTRY
from app.schemas.audit import TimeEntryHistoryItem
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.audit.queries import EVENT_WITH_ACTOR, event_fields
from app.services.time_entries.errors import EntryNotFound


def history(session: Session, actor: Actor, entry_id: int) -> list[TimeEntryHistoryItem]:
    """Return the history of an entry, oldest event first. A deleted entry keeps its history.

    Raises EntryNotFound if there is no such entry, or if the actor may not see its user.
    """
    is_about_entry = and_(AUDIT_EVENT.c.object_type == "time_entry", AUDIT_EVENT.c.object_id == entry_id)
    rows = session.execute(
        EVENT_WITH_ACTOR.where(is_about_entry, visibility.visible_to(actor, AUDIT_EVENT.c.chain_id)).order_by(
            AUDIT_EVENT.c.position
        )
    ).all()
    query = select(ENTRY.c.id).where(ENTRY.c.id == entry_id, visibility.visible_to(actor, ENTRY.c.user_id))
    if not rows and session.execute(query).first() is None:
        raise EntryNotFound("There is no entry with this id that you may see.")
    return [TimeEntryHistoryItem.model_construct(**event_fields(row)) for row in rows]

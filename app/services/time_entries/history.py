"""The history of a time entry, read from the audit log."""

from sqlalchemy import and_, select

from app.core.database.session import Session
from app.models.tables import ENTRY, EVENT
from app.schemas.audit import HistoryItem
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.audit.queries import EVENT_WITH_ACTOR, event_fields
from app.services.time_entries.errors import EntryNotFound


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
    return [HistoryItem.model_construct(**event_fields(row)) for row in rows]

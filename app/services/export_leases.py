"""Two exports at a time per person, over all workers: each is a file on our disk for as long as its reader takes.

A slot is taken before the export begins, held on to while it goes, and given back at its end. One that isn't held on to
is free again after a minute: its worker died.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update

from app.core.database.session import Session
from app.core.errors import Policy, TooMany
from app.models.tables import SLOT
from app.services.access import locks
from app.services.access.actor import Actor

AT_ONCE = 2
HELD_FOR = timedelta(seconds=60)
RETRY_AFTER_SECONDS = 5
_POLICY = Policy("exports", AT_ONCE, int(HELD_FOR.total_seconds()))


class TooManyExports(TooMany):
    code = "too_many_exports"
    title = "Two exports at a time"


@dataclass(frozen=True, slots=True)
class Slot:
    user_id: int
    holder: str


def take(session: Session, actor: Actor, *, at: datetime) -> Slot:
    """A free slot of the actor's. Raises TooManyExports."""
    locks.lock(session, actor.id)
    mine = select(SLOT.c.number).where(SLOT.c.user_id == actor.id, SLOT.c.held_until > at)
    free = set(range(1, AT_ONCE + 1)).difference(session.execute(mine).scalars())
    if not free:
        raise TooManyExports(
            f"You have {AT_ONCE} exports going. Wait until one is through.",
            policy=_POLICY,
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    slot = Slot(actor.id, secrets.token_hex(16))
    held = {"holder": slot.holder, "held_until": at + HELD_FOR}
    taken = session.upsert(SLOT).values(user_id=actor.id, number=min(free), **held)
    session.execute(taken.on_conflict_do_update(index_elements=["user_id", "number"], set_=held))
    return slot


def hold(session: Session, slot: Slot, *, at: datetime) -> None:
    """Hold on to a slot for another while."""
    session.execute(update(SLOT).where(*_held(slot)).values(held_until=at + HELD_FOR))


def give_back(session: Session, slot: Slot) -> None:
    session.execute(delete(SLOT).where(*_held(slot)))


def _held(slot: Slot) -> tuple[ColumnElement[bool], ...]:
    return SLOT.c.user_id == slot.user_id, SLOT.c.holder == slot.holder

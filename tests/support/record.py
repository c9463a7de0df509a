"""The record as tests read it: what was written since somebody last looked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_

from app.core.db import Database
from app.services.audit import CHAIN, EVENT, HOUSE, told


@dataclass(frozen=True)
class Event:
    """An event with its personal values in their places. `subject_id` is the person whose chain it is in."""

    subject_id: int | None
    position: int
    at: datetime
    action: str
    actor_id: int | None
    object_type: str
    object_id: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str


class Record:
    """Remembers how far each chain had come: `record.new()` tells what was written since.

    It starts now, or with `whole=True` with the first event there is.
    """

    def __init__(self, database: Database, *, whole: bool = False) -> None:
        self._database = database
        self._heads: dict[int, int] = {}
        if not whole:
            self.new()

    def new(self) -> list[Event]:
        """The events since the last call, person by person, in order; what concerns nobody comes last."""
        with self._database.reading() as session:
            heads = {head.chain_id: head.length for head in session.execute(select(CHAIN))}
            grown = {chain_id: length for chain_id, length in heads.items() if length > self._heads.get(chain_id, 0)}
            wanted = [
                (chain_id, position)
                for chain_id, length in grown.items()
                for position in range(self._heads.get(chain_id, 0) + 1, length + 1)
            ]
            found = session.execute(
                select(EVENT)
                .where(tuple_(EVENT.c.chain_id, EVENT.c.position).in_(wanted))
                .order_by(EVENT.c.chain_id == HOUSE, EVENT.c.chain_id, EVENT.c.position)
            ).all()
        self._heads = heads
        names = ("position", "at", "action", "actor_id", "object_type", "object_id", "request_id")
        return [
            Event(subject_id=row.chain_id or None, **{name: getattr(row, name) for name in names}, **told(row))
            for row in found
        ]

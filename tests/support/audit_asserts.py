"""The record as tests read it: what was written since somebody last looked, and whether it tells of every change."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select, tuple_

from app.core.database.session import Database, Session
from app.models.tables import API_TOKEN, CHAIN, ENTRY, EVENT, MEMBER, PROJECT, USER
from app.services.audit import verification
from app.services.audit.recorder import HOUSE, told
from tests.support.secret_scan import assert_nothing_secret

# What changes, by the object that its event names. (Sessions come and go with events that say more than their rows.)
SUBJECTS = {
    "time_entry": (ENTRY, ENTRY.c.id),
    "user": (USER, USER.c.id),
    "project": (PROJECT, PROJECT.c.id),
    "membership": (MEMBER, MEMBER.c.project_id),
    "api_token": (API_TOKEN, API_TOKEN.c.id),
}
# How a ledger reads them, and where in a row that number is: as the driver gives them, nothing converted. (A use of a
# token is no change.)
_READS = {
    kind: (str(select(*(each for each in table.c if each.name != "last_used_at"))), list(table.columns).index(number))
    for kind, (table, number) in SUBJECTS.items()
}


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
            with database.reading() as session:
                self._heads = _heads(session)

    def new(self) -> list[Event]:
        """The events since the last call, person by person, in order; what concerns nobody comes last."""
        with self._database.reading() as session:
            heads = _heads(session)
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
        assert_nothing_secret(repr(found), "the record")
        return [
            Event(subject_id=row.chain_id or None, **{name: getattr(row, name) for name in names}, **told(row))
            for row in found
        ]


def _heads(session: Session) -> dict[int, int]:
    return {head.chain_id: head.length for head in session.execute(select(CHAIN))}


class Ledger:
    """The rows of the business before a request; `mismatch()` tells behind it whether the record has each change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._record = Record(database)
        self._rows = self._read()

    def mismatch(self, *, is_bulk: bool) -> str | None:
        """None if each changed subject has exactly one new event, and nothing else has one.

        In bulk, where an entry can be changed several times by one request, each that differs has one at least.
        """
        rows = self._read()
        # A membership is a row; of the others, who or what was changed is in two, as it was and as it is.
        changed = {(kind, row[_READS[kind][1]], row if kind == "membership" else ()) for kind, row in self._rows ^ rows}
        expected = Counter(("project" if kind == "membership" else kind, number) for kind, number, _ in changed)
        found = Counter((e.object_type, e.object_id) for e in self._record.new() if e.object_type in SUBJECTS)
        self._rows = rows
        wrong = expected.keys() - found.keys() if is_bulk else (expected - found) | (found - expected)
        for each in wrong:
            return f"{each} was changed {expected[each]} times and recorded {found[each]} times"
        return None

    def _read(self) -> set[tuple[str, tuple[Any, ...]]]:
        with self._database.reading() as session:
            connection = session.connection()
            return {
                (kind, tuple(row))
                for kind, (statement, _) in _READS.items()
                for row in connection.exec_driver_sql(statement).all()
            }


def assert_chains_hold(session: Session, ids: Collection[int]) -> None:
    """Walk these people's chains as `verification.verify` walks all. Raises BrokenRecord."""
    heads = {head.chain_id: head for head in session.execute(select(CHAIN).where(CHAIN.c.chain_id.in_(ids)))}
    events = session.execute(
        select(EVENT).where(EVENT.c.chain_id.in_(ids)).order_by(EVENT.c.chain_id, EVENT.c.position)
    )
    for chain_id, of_chain in groupby(events.all(), key=lambda event: event.chain_id):
        walk = verification._Walk(session.keyring.audit_keys, chain_id, [])
        for event in of_chain:
            walk.step(event)
        walk.end(heads.pop(chain_id))
    assert not heads, "heads without events"

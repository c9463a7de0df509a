"""The record as tests read it: what was written since somebody last looked, and whether it tells of every change."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select, tuple_

from app.core.database.session import Database, Session
from app.models.tables import API_TOKEN, AUDIT_CHAIN, AUDIT_EVENT, ENTRY, PROJECT, PROJECT_MEMBER, USER
from app.services.audit import verification
from app.services.audit.recorder import ORGANISATION_CHAIN, with_personal_values
from tests.support.secret_scan import assert_no_secrets

# What changes, by the object that its event names. (Sessions come and go with events that say more than their rows.)
AUDITED_TABLES = {
    "time_entry": (ENTRY, ENTRY.c.id),
    "user": (USER, USER.c.id),
    "project": (PROJECT, PROJECT.c.id),
    "membership": (PROJECT_MEMBER, PROJECT_MEMBER.c.project_id),
    "api_token": (API_TOKEN, API_TOKEN.c.id),
}
# How a ledger reads them, and where in a row that number is: as the driver gives them, nothing converted. (A use of a
# token is no change.)
_ROW_QUERIES = {
    kind: (str(select(*(each for each in table.c if each.name != "last_used_at"))), list(table.columns).index(number))
    for kind, (table, number) in AUDITED_TABLES.items()
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


class AuditLog:
    """Remembers how far each chain had come: `audit_log.new_events()` returns what was written since.

    It starts now, or with `whole=True` with the first event there is.
    """

    def __init__(self, database: Database, *, whole: bool = False) -> None:
        self._database = database
        self._heads: dict[int, int] = {}
        if not whole:
            with database.read_transaction() as session:
                self._heads = _heads(session)

    def new_events(self) -> list[Event]:
        """The events since the last call, person by person, in order; what concerns nobody comes last."""
        with self._database.read_transaction() as session:
            heads = _heads(session)
            longer = {chain_id: length for chain_id, length in heads.items() if length > self._heads.get(chain_id, 0)}
            positions = [
                (chain_id, position)
                for chain_id, length in longer.items()
                for position in range(self._heads.get(chain_id, 0) + 1, length + 1)
            ]
            recorded = session.execute(
                select(AUDIT_EVENT)
                .where(tuple_(AUDIT_EVENT.c.chain_id, AUDIT_EVENT.c.position).in_(positions))
                .order_by(AUDIT_EVENT.c.chain_id == ORGANISATION_CHAIN, AUDIT_EVENT.c.chain_id, AUDIT_EVENT.c.position)
            ).all()
        self._heads = heads
        names = ("position", "at", "action", "actor_id", "object_type", "object_id", "request_id")
        assert_no_secrets(repr(recorded), "the record")
        return [
            Event(
                subject_id=row.chain_id or None,
                **{name: getattr(row, name) for name in names},
                **with_personal_values(row),
            )
            for row in recorded
        ]


def _heads(session: Session) -> dict[int, int]:
    return {head.chain_id: head.length for head in session.execute(select(AUDIT_CHAIN))}


class RowSnapshot:
    """The rows of the business before a request; `mismatch()` tells behind it whether the record has each change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._audit_log = AuditLog(database)
        self._rows = self._read()

    def mismatch(self, *, is_bulk: bool) -> str | None:
        """None if each changed subject has exactly one new event, and nothing else has one.

        In bulk, where an entry can be changed several times by one request, each that differs has one at least.
        """
        rows = self._read()
        # A membership is a row; of the others, who or what was changed is in two, as it was and as it is.
        changed = {
            (kind, row[_ROW_QUERIES[kind][1]], row if kind == "membership" else ()) for kind, row in self._rows ^ rows
        }
        expected = Counter(("project" if kind == "membership" else kind, number) for kind, number, _ in changed)
        recorded = Counter(
            (e.object_type, e.object_id) for e in self._audit_log.new_events() if e.object_type in AUDITED_TABLES
        )
        self._rows = rows
        mismatches = expected.keys() - recorded.keys() if is_bulk else (expected - recorded) | (recorded - expected)
        for each in mismatches:
            return f"{each} was changed {expected[each]} times and recorded {recorded[each]} times"
        return None

    def _read(self) -> set[tuple[str, tuple[Any, ...]]]:
        with self._database.read_transaction() as session:
            connection = session.connection()
            return {
                (kind, tuple(row))
                for kind, (statement, _) in _ROW_QUERIES.items()
                for row in connection.exec_driver_sql(statement).all()
            }


def assert_chains_intact(session: Session, ids: Collection[int]) -> None:
    """Walk these people's chains as `verification.verify` walks all. Raises AuditChainBroken."""
    heads = {
        head.chain_id: head for head in session.execute(select(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id.in_(ids)))
    }
    events = session.execute(
        select(AUDIT_EVENT)
        .where(AUDIT_EVENT.c.chain_id.in_(ids))
        .order_by(AUDIT_EVENT.c.chain_id, AUDIT_EVENT.c.position)
    )
    for chain_id, of_chain in groupby(events.all(), key=lambda event: event.chain_id):
        verifier = verification._ChainVerifier(session.keyring.audit_keys, chain_id, [])
        for event in of_chain:
            verifier.verify_event(event)
        verifier.verify_head(heads.pop(chain_id))
    assert not heads, "heads without events"

"""Assertions on the audit log: the events since the last check, and one event for each change."""

from collections import Counter
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Engine, orm, select, tuple_
from sqlalchemy.event import listen

from app.core.database.session import Database, Session
from app.models.tables import API_TOKEN, AUDIT_CHAIN, AUDIT_EVENT, ENTRY, PROJECT, PROJECT_MEMBER, TIMESHEET, USER
from app.services.audit import verification
from app.services.audit.recorder import ORGANISATION_CHAIN, with_personal_values
from tests.support.secret_scan import assert_no_secrets

# Database tables by the object type of their events. Login sessions are missing here, because their events hold more
# than their rows.
AUDITED_TABLES = {
    "time_entry": (ENTRY, ENTRY.c.id),
    "user": (USER, USER.c.id),
    "project": (PROJECT, PROJECT.c.id),
    "membership": (PROJECT_MEMBER, PROJECT_MEMBER.c.project_id),
    "api_token": (API_TOKEN, API_TOKEN.c.id),
    "timesheet": (TIMESHEET, TIMESHEET.c.id),
}
_NO_CHANGES = {"last_used_at", "timesheet_id"}
# Columns that identify a row in a snapshot, and the position of its version number. Values stay as the driver returns
# them. Using a token is no change of it, and locking is none of an entry.
_ROW_QUERIES = {
    kind: (str(select(*(each for each in table.c if each.name not in _NO_CHANGES))), list(table.columns).index(number))
    for kind, (table, number) in AUDITED_TABLES.items()
}


@dataclass(frozen=True)
class Event:
    """An audit event with its personal values, and without the MACs of secrets.

    `subject_id` is the user whose chain contains it.
    """

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
    """Reader of new audit events: `audit_log.new_events()` returns the events since the last call.

    It starts at the current head of each chain, or with `whole=True` at the first event.
    """

    def __init__(self, database: Database, *, whole: bool = False) -> None:
        self._database = database
        self._heads: dict[int, int] = {}
        if not whole:
            with database.read_transaction() as session:
                self._heads = _heads(session)

    def new_events(self) -> list[Event]:
        """Return the events since the last call by user and in order; events that concern no user come last."""
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


class CommitCounter:
    """Counts the commits of this process, so that a snapshot is taken again only after one.

    A session's commit is counted once its changes are visible, and before the response is sent.
    """

    def __init__(self) -> None:
        self.count = 0
        listen(Engine, "commit", self.add)
        listen(orm.Session, "after_commit", self.add)

    def add(self, _committing: object = None) -> None:
        self.count += 1


COMMITS = CommitCounter()


class RowSnapshot:
    """Snapshot of the business tables before a request; `mismatch()` compares the changes with the new audit events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = COMMITS.count
        self._audit_log = AuditLog(database)
        self._rows = self._read()

    @property
    def is_current(self) -> bool:
        """Return True if nothing was committed since the snapshot."""
        return self._commits == COMMITS.count

    def mismatch(self) -> str | None:
        """Return a description of the first mismatch, or None if each changed subject has exactly one new event."""
        rows = self._read()
        # A membership is one row. Any other changed object is in both sets, once before and once after the change.
        changed = {
            (kind, row[_ROW_QUERIES[kind][1]], row if kind == "membership" else ()) for kind, row in self._rows ^ rows
        }
        expected = Counter(("project" if kind == "membership" else kind, number) for kind, number, _ in changed)
        events = copy(self._audit_log).new_events()  # a copy, because concurrent requests may have the same snapshot
        recorded = Counter((each.object_type, each.object_id) for each in events if each.object_type in AUDITED_TABLES)
        for each in (expected - recorded) | (recorded - expected):
            return f"{each} was changed {expected[each]} times, but has {recorded[each]} audit events"
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
    """Verify the chains of these users as `verification.verify` does for all. Raises AuditChainBroken."""
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

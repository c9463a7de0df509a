"""Tampering with the audit log by an attacker who can write to the database but doesn't have the audit key."""

import re
import sys
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize

from sqlalchemy import (
    Column,
    ColumnElement,
    Executable,
    Integer,
    Row,
    String,
    Table,
    and_,
    delete,
    literal_column,
    select,
    text,
    update,
)
from sqlmodel import AutoString

from app.core.database.column_types import Instant
from app.core.database.session import Database, Session
from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT
from app.services.audit import recorder, verification
from app.services.audit.stored_rows import AuditChainBroken
from app.services.audit.verification import VerificationResult
from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.factories import instant

DISABLE_TRIGGERS = {
    SQLITE: "SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit_%'",
    POSTGRESQL: "SELECT 'ALTER TABLE ' || name || ' DISABLE TRIGGER ALL' "
    "FROM unnest(ARRAY['audit_event', 'audit_chain']) AS name",
}
RESTORE_TRIGGERS = {
    SQLITE: "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit_%'",
    POSTGRESQL: DISABLE_TRIGGERS[POSTGRESQL].replace("DISABLE", "ENABLE"),
}
"""Queries for the statements that restore the triggers, to run before they are disabled."""
LATER_INSTANTS = {
    SQLITE: [literal_column("at + 1")],
    POSTGRESQL: [literal_column(f"at + interval '1 {step}'") for step in ("second", "microsecond")],
}
NOW = instant("2026-03-03 09:00")
UNKNOWN_ID = 1000
"""An id that no user has."""


class AuditTamperer:
    """Change the audit log with its triggers disabled, and report what the verification finds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.write_transaction() as session:
            engine = session.get_bind().dialect.name
            self._restore = session.scalars(text(RESTORE_TRIGGERS[engine])).all()
            for statement in session.scalars(text(DISABLE_TRIGGERS[engine])).all():
                session.execute(text(statement))
            self.events = session.execute(
                select(AUDIT_EVENT).order_by(AUDIT_EVENT.c.chain_id, AUDIT_EVENT.c.position)
            ).all()
            self.heads = session.execute(select(AUDIT_CHAIN).order_by(AUDIT_CHAIN.c.chain_id)).all()

    def events_of_chain(self, chain_id: int) -> list[Row[Any]]:
        return [event for event in self.events if event.chain_id == chain_id]

    def execute(self, *statements: Executable) -> None:
        """Execute the statements and commit."""
        with self._database.write_transaction() as session:
            for statement in statements:
                session.execute(statement)

    def restore_triggers(self) -> None:
        """Cover the tracks: enable the triggers again."""
        self.execute(*map(text, self._restore))

    def verify_after(self, *statements: Executable, checkpoints: tuple[str, ...] = ()) -> str | None:
        """Execute the statements, verify, and roll back.

        Returns the name of the broken link, or None if it verified.
        """
        with self._database.write_transaction() as session:
            for statement in statements:
                session.execute(statement)
            try:
                verify_chains(session, *checkpoints)
            except AuditChainBroken as error:
                return str(error)
            finally:
                session.rollback()
        return None


def position_of(event: Row[Any]) -> str:
    return f"Chain {event.chain_id}, link {event.position}"


def names_position(message: str | None) -> bool:
    return re.match(r"Chain \S+ |The row of audit_\w+ (after chain \d+|at the start)", message or "") is not None


def make_checkpoint(database: Database) -> str:
    with database.read_transaction() as session:
        return verification.create_checkpoint(session, at=NOW)


def record_note(database: Database, **fields: Any) -> None:
    """Append one event."""
    with database.write_transaction("request-9") as session:
        recorder.record(session, "project:note", at=NOW, actor_id=None, **fields)


def verify_chains(session: Session, *checkpoints: str) -> VerificationResult:
    return verification.verify(session, checkpoints, on_progress=lambda done, total: None)


def update_row(table: Table, row: Row[Any], values: dict[str, Any]) -> Executable:
    return update(table).where(matches_row(table, row)).values(values)


def delete_row(table: Table, row: Row[Any]) -> Executable:
    return delete(table).where(matches_row(table, row))


def matches_row(table: Table, row: Row[Any]) -> ColumnElement[bool]:
    return and_(*(column == getattr(row, column.name) for column in table.primary_key))


def changed_values(table: Table, row: Row[Any], engine: str) -> Iterator[tuple[Column[Any], Any]]:
    """Return every column of a row with values that differ slightly. Raises for a column type it doesn't know."""
    for column in table.c:
        value = getattr(row, column.name)
        if value is not None and column.nullable:
            yield column, None
        match column.type:
            case Instant():
                steps = LATER_INSTANTS[engine]
            case Integer() if column.primary_key:
                steps = [value + UNKNOWN_ID, -value - UNKNOWN_ID]
            case Integer():
                steps = [0, 1] if value is None else [value + 1, value - 1, -value - 1]
            case String() | AutoString():
                steps = list(similar_texts(value, column.type.length or sys.maxsize))
            case _:
                raise NotImplementedError(column)
        yield from ((column, step) for step in steps)


def similar_texts(value: str | None, max_length: int) -> Iterator[str]:
    """Return texts that differ from this one by one character or by their Unicode form only."""
    if value is None:
        yield from ("", "x", "{}", '{"salt":"00000000000000000000000000000000","values":{}}')
        return
    for place in {0, len(value) // 2, len(value) - 1}:
        yield value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :]
        yield value[:place] + value[place + 1 :]
    spellings = {
        value.upper(),
        value.lower(),
        value.replace(":", ": ", 1),
        normalize("NFD", value),
        f"{value} ",
        f" {value}",
        f"{value}\n",
    }
    yield from (text for text in spellings if text != value and len(text) <= max_length)


def values_of_other_type(column: Column[Any], value: Any) -> list[str]:
    """Return SQL for values of another type.

    SQLite stores them unchanged in any column except an INTEGER PRIMARY KEY.
    """
    if column.table is AUDIT_CHAIN and column.primary_key:
        return []
    if value is None:
        return ["x'00'", "CAST(x'ff' AS TEXT)"]
    wrong = [f'CAST("{column.name}" AS BLOB)', "CAST(x'ff' AS TEXT)"]
    if isinstance(column.type, Instant | Integer):
        wrong += ["'yesterday'", f'"{column.name}" + 0.5', "4611686018427387904", "1e300"]
    if isinstance(column.type, Instant):
        wrong.append(f'"{column.name}" + 0.0000003')  # lost by rounding when the value is read as a datetime
    return wrong

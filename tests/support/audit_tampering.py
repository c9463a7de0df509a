"""Who has the database, but not the key: the record changed behind the application's back, step by step."""

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
from app.models.tables import CHAIN, EVENT
from app.services.audit import recorder, verification
from app.services.audit.verification import BrokenRecord, Proof
from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.factories import instant

GUARDS_OFF = {
    SQLITE: "SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit_%'",
    POSTGRESQL: "SELECT 'ALTER TABLE ' || name || ' DISABLE TRIGGER ALL' "
    "FROM unnest(ARRAY['audit_event', 'audit_chain']) AS name",
}
AN_INSTANT_LATER = {
    SQLITE: [literal_column("at + 1")],
    POSTGRESQL: [literal_column(f"at + interval '1 {step}'") for step in ("second", "microsecond")],
}
NOW = instant("2026-03-03 09:00")
NOWHERE = 1000
"""The id of no person."""


class Burglar:
    """Writes to the record with its triggers off, and sees what the proof says of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.writing() as session:
            for statement in session.scalars(text(GUARDS_OFF[session.get_bind().dialect.name])).all():
                session.execute(text(statement))
            self.events = session.execute(select(EVENT).order_by(EVENT.c.chain_id, EVENT.c.position)).all()
            self.heads = session.execute(select(CHAIN).order_by(CHAIN.c.chain_id)).all()

    def of_chain(self, chain_id: int) -> list[Row[Any]]:
        return [event for event in self.events if event.chain_id == chain_id]

    def does(self, *statements: Executable) -> None:
        """Do it, and leave it so."""
        with self._database.writing() as session:
            for statement in statements:
                session.execute(statement)

    def told(self, *statements: Executable, seals: tuple[str, ...] = ()) -> str | None:
        """What the proof names after these statements, None where it holds; then all is as it was."""
        with self._database.writing() as session:
            for statement in statements:
                session.execute(statement)
            try:
                verified(session, *seals)
            except BrokenRecord as error:
                return str(error)
            finally:
                session.rollback()
        return None


def place(event: Row[Any]) -> str:
    return f"Chain {event.chain_id}, link {event.position}"


def names_a_place(said: str | None) -> bool:
    return re.match(r"Chain \S+ |The row of audit_\w+ (behind chain \d+|at the start)", said or "") is not None


def sealed(database: Database) -> str:
    with database.reading() as session:
        return verification.seal(session, at=NOW)


def noted(database: Database, **told: Any) -> None:
    """One more event."""
    with database.writing("request-9") as session:
        recorder.record(session, "project:note", at=NOW, actor_id=None, **told)


def verified(session: Session, *seals: str) -> Proof:
    return verification.verify(session, seals, on_progress=lambda done, total: None)


def changed(table: Table, row: Row[Any], values: dict[str, Any]) -> Executable:
    return update(table).where(is_row(table, row)).values(values)


def removed(table: Table, row: Row[Any]) -> Executable:
    return delete(table).where(is_row(table, row))


def is_row(table: Table, row: Row[Any]) -> ColumnElement[bool]:
    return and_(*(column == getattr(row, column.name) for column in table.primary_key))


def one_step(table: Table, row: Row[Any], engine: str) -> Iterator[tuple[Column[Any], Any]]:
    """Every column with values one step away from what the row has there. A column of a new kind fails here."""
    for column in table.c:
        value = getattr(row, column.name)
        if value is not None and column.nullable:
            yield column, None
        match column.type:
            case Instant():
                steps = AN_INSTANT_LATER[engine]
            case Integer() if column.primary_key:
                steps = [value + NOWHERE, -value - NOWHERE]
            case Integer():
                steps = [0, 1] if value is None else [value + 1, value - 1, -value - 1]
            case String() | AutoString():
                steps = list(texts_beside(value, column.type.length or sys.maxsize))
            case _:
                raise NotImplementedError(column)
        yield from ((column, step) for step in steps)


def texts_beside(value: str | None, most: int) -> Iterator[str]:
    """Texts that differ from this one by a character, or only in how they are written."""
    if value is None:
        yield from ("", "x", "{}", '{"salt":"00000000000000000000000000000000","values":{}}')
        return
    for place in {0, len(value) // 2, len(value) - 1}:
        yield value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :]
        yield value[:place] + value[place + 1 :]
    rewritten = {
        value.upper(),
        value.lower(),
        value.replace(":", ": ", 1),
        normalize("NFD", value),
        f"{value} ",
        f" {value}",
        f"{value}\n",
    }
    yield from (text for text in rewritten if text != value and len(text) <= most)


def of_another_type(column: Column[Any], value: Any) -> list[str]:
    """SQLite keeps what doesn't fit a column's type as it is, but for a key that is the row's own number."""
    if column.table is CHAIN and column.primary_key:
        return []
    if value is None:
        return ["x'00'", "CAST(x'ff' AS TEXT)"]
    wrong = [f'CAST("{column.name}" AS BLOB)', "CAST(x'ff' AS TEXT)"]
    if isinstance(column.type, Instant | Integer):
        wrong += ["'yesterday'", f'"{column.name}" + 0.5', "4611686018427387904", "1e300"]
    if isinstance(column.type, Instant):
        wrong.append("at + 0.0000003")  # rounded away where an instant is made of it
    return wrong

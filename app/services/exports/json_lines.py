"""Exports as JSON lines, an object for each row: for programs, so texts are as people typed them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Select

from app.core.database.session import Session
from app.core.server.spool import Write
from app.schemas.types import hours
from app.services.exports.columns import Column, Kind
from app.services.exports.rows import OnRows, Told, records

_CHUNK_BYTES = 128 * 1024


def write_json(
    session: Session, columns: Sequence[Column], entries: Select[Any], write: Write, on_rows: OnRows
) -> None:
    """Write a line for each row of the statement, whose columns are `shown_as_value`."""
    lines = bytearray()
    for record in records(session, columns, entries, _TOLD, on_rows):
        lines += to_json(record) + b"\n"
        if len(lines) > _CHUNK_BYTES:
            write(bytes(lines))
            lines.clear()
    if lines:
        write(bytes(lines))


def _date(wall: datetime) -> str:
    return wall.date().isoformat()


def _time(wall: datetime) -> str:
    return wall.time().isoformat()


def _instant(instant: datetime) -> str:
    return f"{instant.astimezone(UTC).isoformat()[:19]}Z"


_TOLD: Told = {Kind.date: _date, Kind.time: _time, Kind.hours: hours, Kind.instant: _instant, Kind.flag: bool}

"""Exports as JSON lines, an object for each row: for programs, so texts are as people typed them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pydantic_core import to_json

from app.core.database.rendering import CellType
from app.core.server.spool import Write
from app.schemas.types import hours
from app.services.exports.rows import Formatters, records
from app.services.time_entries.columns import Column, EntryRows

_CHUNK_BYTES = 128 * 1024


def write_json(rows: EntryRows, columns: Sequence[Column], write: Write, on_rows: Callable[[int], None]) -> None:
    """Write a line for each row."""
    lines = bytearray()
    for record in records(rows, columns, _FORMATTERS, on_rows):
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


_FORMATTERS: Formatters = {
    CellType.date: _date,
    CellType.time: _time,
    CellType.hours: hours,
    CellType.instant: _instant,
    CellType.flag: bool,
}

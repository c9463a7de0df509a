"""Exports as CSV (RFC 4180, UTF-8). The database itself renders the cells: no row is built in Python."""

import csv
import io
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Date, Select, Text, Time, case, cast, func, literal

from app.core.database.session import ROWS_AT_ONCE, Session
from app.core.server.spool import Write
from app.core.spreadsheet import safe_in_postgresql, safe_text
from app.services.exports.columns import Column, Kind
from app.services.exports.rows import OnRows

_CHUNK_BYTES = 256 * 1024
_CELL = "safe_text"  # our function among SQLite's
Shown = Callable[[Column, ColumnElement[Any]], ColumnElement[Any]]


def shown_as_text(session: Session) -> Shown:
    """What makes of a column's expression the text of its cell; NULL where the cell is empty."""
    texts = _IN_SQLITE if session.settings.is_sqlite else _IN_POSTGRESQL
    return lambda column, value: texts[column.kind](value)


def write_csv(session: Session, columns: Sequence[Column], entries: Select[Any], write: Write, on_rows: OnRows) -> None:
    """Write the header and a line for each row of the statement, whose columns are `shown_as_text`."""
    header = f"{','.join(column.name for column in columns)}\r\n".encode()

    def told(chunk: bytes) -> None:
        write(chunk)
        on_rows(chunk.count(b"\n"))  # the header for one, and breaks within a text

    if session.settings.is_sqlite:
        _write_from_sqlite(session, entries, header, told)
        return
    with io.BufferedWriter(_Lines(header, told), _CHUNK_BYTES) as out:
        session.copy_csv(entries, out)
        out.flush()
        out.raw.end()


class _Lines(io.RawIOBase):
    """Ends lines as RFC 4180 wants it: COPY ends them with a line feed alone. What is quoted stays as it is."""

    def __init__(self, header: bytes, write: Write) -> None:
        self._header, self._write, self._is_quoted = header, write, False

    def writable(self) -> bool:
        return True

    def write(self, lines: Any) -> int:
        chunk = bytes(lines)
        self._send(chunk.replace(b"\n", b"\r\n") if b'"' not in chunk and not self._is_quoted else self._ended(chunk))
        return len(chunk)

    def end(self) -> None:
        """Send what is left: the header, where there were no lines."""
        self._send(b"")

    def _send(self, chunk: bytes) -> None:
        if chunk or self._header:
            self._write(self._header + chunk)
        self._header = b""

    def _ended(self, chunk: bytes) -> bytes:
        """A quote within quotes is written twice, which leaves us where we were."""
        parts = chunk.split(b'"')
        for number, part in enumerate(parts):
            if self._is_quoted == bool(number % 2):
                parts[number] = part.replace(b"\n", b"\r\n")
        self._is_quoted ^= len(parts) % 2 == 0
        return b'"'.join(parts)


def _write_from_sqlite(session: Session, entries: Select[Any], header: bytes, write: Write) -> None:
    driver = session.connection().connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.create_function(_CELL, 1, safe_text, deterministic=True)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    # Closed whatever happens: a statement read half-way would keep the connection in the past, for whoever gets it
    # next, until the garbage collector comes by.
    with session.execute(entries, execution_options={"yield_per": ROWS_AT_ONCE}) as rows:
        for lines in rows.partitions():
            writer.writerows(lines)
            write(header + buffer.getvalue().encode())
            header = b""
            buffer.seek(0)
            buffer.truncate()
    if header:
        write(header)


def _flag(value: ColumnElement[bool]) -> ColumnElement[str]:
    return case((value, "true"), else_="false")


def _hours(seconds: ColumnElement[int]) -> ColumnElement[str]:
    """Hours with one or two decimals, rounded half up: `schemas.types.hours`, as Python writes it."""
    hundredths = (seconds * 100 + 1800) // 3600
    rest = hundredths % 100
    decimals = case(
        (rest % 10 == 0, cast(rest // 10, Text)),
        (rest < 10, literal("0").concat(cast(rest, Text))),
        else_=cast(rest, Text),
    )
    return cast(hundredths // 100, Text).concat(".").concat(decimals)


def _plain(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return value


def _safe_in_sqlite(text: ColumnElement[str]) -> ColumnElement[str]:
    is_plain = text.bool_op("GLOB")("[0-9A-Za-z]*") & text.bool_op("NOT GLOB")("*[;\t\r\n]*")
    return case((is_plain, text), else_=getattr(func, _CELL)(text))


_IN_POSTGRESQL: dict[Kind, Callable[[ColumnElement[Any]], ColumnElement[Any]]] = {
    Kind.number: _plain,
    Kind.text: lambda value: safe_in_postgresql(func.nullif(value, "")),  # an empty text would be quoted
    Kind.date: lambda value: cast(value, Date),
    Kind.time: lambda value: cast(value, Time),
    Kind.hours: _hours,
    Kind.instant: lambda value: func.to_char(func.timezone("UTC", value), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    Kind.flag: _flag,
}
_IN_SQLITE: dict[Kind, Callable[[ColumnElement[Any]], ColumnElement[Any]]] = {
    Kind.number: _plain,
    Kind.text: _safe_in_sqlite,
    Kind.date: lambda value: func.date(value, "unixepoch", type_=Text),
    Kind.time: lambda value: func.time(value, "unixepoch", type_=Text),
    Kind.hours: _hours,
    Kind.instant: lambda value: func.strftime("%Y-%m-%dT%H:%M:%SZ", value, "unixepoch", type_=Text),
    Kind.flag: _flag,
}

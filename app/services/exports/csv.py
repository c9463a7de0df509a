"""Exports as CSV (RFC 4180, UTF-8). The database itself renders the cells: no row is built in Python."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, case, cast, literal

from app.core.database.dialect import date_text, instant_text, time_text
from app.core.database.session import Session
from app.core.server.spool import Write
from app.core.spreadsheet import safe_cell
from app.services.exports.columns import Column, Kind
from app.services.exports.rows import OnRows


def shown_as_text(column: Column, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text of a column's cell, of its expression; NULL where the cell is empty."""
    return _TEXTS[column.kind](value)


def write_csv(session: Session, columns: Sequence[Column], entries: Select[Any], write: Write, on_rows: OnRows) -> None:
    """Write the header and a line for each row of the statement, whose columns are `shown_as_text`."""
    header = f"{','.join(column.name for column in columns)}\r\n".encode()

    def told(chunk: bytes) -> None:
        nonlocal header  # it goes out with the first lines: before them the statement may fail
        write(header + chunk)
        on_rows((header + chunk).count(b"\n"))  # the header for one, and breaks within a text
        header = b""

    session.write_csv(entries, told)
    if header:
        told(b"")


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


_TEXTS: dict[Kind, Callable[[ColumnElement[Any]], ColumnElement[Any]]] = {
    Kind.number: _plain,
    Kind.text: safe_cell,
    Kind.date: date_text,
    Kind.time: time_text,
    Kind.hours: _hours,
    Kind.instant: instant_text,
    Kind.flag: _flag,
}

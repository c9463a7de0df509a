"""Exports as a workbook: a row for each entry in real dates and numbers, and a second sheet with each person's sum."""

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from rustpy_xlsxwriter import FastExcel, Format
from sqlalchemy import Select

from app.core.database.session import Session
from app.core.errors import Invalid
from app.core.server.spool import Write
from app.core.spreadsheet import safe_text
from app.schemas.types import hours
from app.services.exports.columns import Column, Kind
from app.services.exports.rows import OnRows, Record, Told, records

MAX_ROWS = 1_048_575  # of a sheet (ECMA-376), without its header
_CHUNK_BYTES = 256 * 1024
_SUMS: dict[str, float] = {
    "employee_id": 12,
    "employee_name": 24,
    "hours_worked": 13,
    "seconds_worked": 14,
    "entries": 9,
}


class TooManyRows(Invalid):
    code = "too_many_rows"
    title = "More rows than a sheet has"


def write_xlsx(
    session: Session, columns: Sequence[Column], entries: Select[Any], write: Write, on_rows: OnRows
) -> None:
    """Write a workbook of the rows of the statement, whose columns are `shown_as_value`. Raises TooManyRows."""
    sums = _Sums()

    def looked_at(rows: int) -> None:
        write(b"")  # the file comes in the end: a reader who is gone by then would not be noticed before
        on_rows(rows)

    rows = sums.added(counted(records(session, columns, entries, _TOLD, looked_at)))
    header = Format().set_bold().set_border_bottom("thin")
    formats = {column.name: _format(_FORMATS[column.kind]) for column in columns if column.kind in _FORMATS}
    with tempfile.TemporaryFile() as file:
        # By its number: the library writes to a name, and a file that has one would stay behind a crash.
        workbook = FastExcel(f"/proc/self/fd/{file.fileno()}", output_format="xlsx").freeze(row=1)
        workbook.sheet(
            "Entries",
            _or_blank(rows, [column.name for column in columns]),
            column_widths={column.name: float(column.width) for column in columns},
            column_formats=formats,
            header_format=header,
            page_setup={"landscape": True, "repeat_rows": 0, "fit_to_pages": (1, 0)},
        )
        workbook.sheet(
            "Summary",
            _or_blank(sums.rows(), list(_SUMS)),
            column_widths=_SUMS,
            column_formats={"hours_worked": _format("0.00")},
            header_format=header,
        )
        workbook.save()
        file.seek(0)
        for chunk in iter(partial(file.read, _CHUNK_BYTES), b""):
            write(chunk)


class _Sums:
    """Each person's sum, added up while the rows go by: the second sheet is written behind the first."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, str], int] = defaultdict(int)
        self._entries: dict[tuple[int, str], int] = defaultdict(int)

    def added(self, rows: Iterable[Record]) -> Iterator[Record]:
        """The rows, whose seconds turn into hours."""
        for row in rows:
            if (seconds := row["hours_worked"]) is not None:
                person = row["employee_id"], row["employee_name"]
                self._seconds[person] += seconds
                self._entries[person] += 1
                row["hours_worked"] = hours(seconds)
            yield row

    def rows(self) -> Iterator[Record]:
        for (person_id, name), seconds in self._seconds.items():
            entries = self._entries[person_id, name]
            yield dict(zip(_SUMS, (person_id, name, hours(seconds), seconds, entries), strict=True))


def counted(rows: Iterable[Record]) -> Iterator[Record]:
    for number, row in enumerate(rows):
        if number == MAX_ROWS:
            raise TooManyRows(f"A sheet has {MAX_ROWS} rows. Ask for a shorter period, or for CSV.")
        yield row


def _or_blank(rows: Iterator[Record], names: Sequence[str]) -> Iterator[Record]:
    """The rows, or a blank one: without any, the library writes no header."""
    yield next(rows, dict.fromkeys(names))
    yield from rows


def _format(number_format: str) -> Format:
    return Format().set_num_format(number_format)


def _date(wall: datetime) -> date:
    return wall.date()


def _instant(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


_TOLD: Told = {Kind.text: safe_text, Kind.date: _date, Kind.instant: _instant, Kind.flag: bool}
_FORMATS = {
    Kind.date: "yyyy-mm-dd",
    Kind.time: "hh:mm:ss",
    Kind.hours: "0.00",
    Kind.instant: "yyyy-mm-dd hh:mm:ss",
}

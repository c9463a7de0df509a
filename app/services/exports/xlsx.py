"""Exports as XLSX: one sheet with typed dates and numbers. For entries, a second one has the total of each user."""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC
from functools import partial
from typing import Any

from rustpy_xlsxwriter import FastExcel, Format

from app.core.database.rendering import CellType
from app.core.database.rows import Column, RowsT
from app.core.errors import Invalid
from app.core.server.spool import Write
from app.core.spreadsheet import escape_formula
from app.services.time_entries.columns import EntryRows

MAX_ROWS = 1_048_575  # per sheet (ECMA-376), without the header
_CHUNK_BYTES = 256 * 1024
_WIDTHS: dict[str, float] = {
    "employee_id": 12, "employee_name": 24, "project_name": 24, "date": 11, "start_time": 10, "end_time": 10,
    "hours_worked": 13, "description": 40, "entry_id": 10, "employee_email": 28, "project_id": 10, "time_zone": 18,
    "start_utc": 20, "end_utc": 20, "seconds_worked": 14, "needs_review": 12, "entries": 9,
    "local_time_zone": 18,
    "needs_review_seconds": 20, "project_code": 14, "approved": 10,
    "first_day": 11, "last_day": 11, "status": 10, "approved_at": 20, "approved_by": 12, "total_seconds": 13,
    "total_hours": 11, "digest": 66,
}  # fmt: skip
"""Column widths in characters."""
_SUMMARY_COLUMNS = ("employee_id", "employee_name", "hours_worked", "seconds_worked", "entries", "needs_review_seconds")
RowDict = dict[str, Any]


class TooManyRows(Invalid):
    code = "too_many_rows"
    title = "Too many rows"


def write_xlsx(
    rows: RowsT,
    columns: Sequence[Column[RowsT]],
    write: Write,
    on_rows: Callable[[int], None],
    *,
    sheet_name: str,
    totals: "UserTotals | None" = None,
) -> None:
    """Write a workbook with the rows, and with the totals if given. Raises TooManyRows above MAX_ROWS rows."""

    def on_rows_read(count: int) -> None:
        write(b"")  # detects a closed connection early, because the file is only written at the end
        on_rows(count)

    expressions = (column.expression(rows) for column in columns)
    batches = rows.stream(*expressions, *(totals.expressions if totals else ()))
    read = limit_rows(_read_rows(batches, columns, totals, on_rows_read))
    header = Format().set_bold().set_border_bottom("thin")
    formats = {
        column.name: _format(_NUMBER_FORMATS[column.type]) for column in columns if column.type in _NUMBER_FORMATS
    }
    with closing(batches), tempfile.TemporaryFile() as file:
        # The library needs a path. This one leads to an unnamed file, which leaves nothing behind after a crash.
        workbook = FastExcel(f"/proc/self/fd/{file.fileno()}", output_format="xlsx").freeze(row=1)
        workbook.sheet(
            sheet_name,
            _rows_or_blank(read, [column.name for column in columns]),
            column_widths={column.name: _WIDTHS[column.name] for column in columns},
            column_formats=formats,
            header_format=header,
            page_setup={"landscape": True, "repeat_rows": 0, "fit_to_pages": (1, 0)},
        )
        if totals is not None:
            workbook.sheet(
                "Summary",
                _rows_or_blank(totals.rows(), _SUMMARY_COLUMNS),
                column_widths={name: _WIDTHS[name] for name in _SUMMARY_COLUMNS},
                column_formats={"hours_worked": _format("0.00")},
                header_format=header,
            )
        workbook.save()
        file.seek(0)
        for chunk in iter(partial(file.read, _CHUNK_BYTES), b""):
            write(chunk)


def _read_rows(
    batches: Iterable[Sequence[Any]],
    columns: Sequence[Column[RowsT]],
    totals: "UserTotals | None",
    on_rows: Callable[[int], None],
) -> Iterator[RowDict]:
    """Yield each row as Python values by column name, and add it to the totals with the values behind the columns."""
    cells = [(column.name, _FORMATTERS.get(column.type)) for column in columns]
    for batch in batches:
        for values in batch:
            row = {
                name: value if format_value is None or value is None else format_value(value)
                for (name, format_value), value in zip(cells, values, strict=False)
            }
            if totals is not None:
                totals.add((row["employee_id"], row["employee_name"]), *values[len(cells) :])
            yield row
        on_rows(len(batch))


class UserTotals:
    """Totals per user, added up while the first sheet is written. The second sheet then lists them."""

    def __init__(self, rows: EntryRows) -> None:
        self.expressions = (rows.seconds, rows.entry.needs_review, rows.is_first)
        self._totals: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, user: tuple[int, str], seconds: int | None, needs_review: bool, is_first: bool) -> None:
        """Add an entry or segment of a user. Open ones do not count. The segments of an entry count as one entry."""
        if seconds is None:
            return
        total = self._totals[user]
        total[0] += seconds
        total[1] += is_first
        total[2] += seconds if needs_review else 0

    def rows(self) -> Iterator[RowDict]:
        for user, (seconds, *counts) in self._totals.items():
            yield dict(zip(_SUMMARY_COLUMNS, (*user, _exact_hours(seconds), seconds, *counts), strict=True))


def limit_rows(rows: Iterable[RowDict]) -> Iterator[RowDict]:
    for number, row in enumerate(rows):
        if number == MAX_ROWS:
            raise TooManyRows(f"An XLSX sheet has at most {MAX_ROWS} rows. Choose a shorter period, or CSV.")
        yield row


def _rows_or_blank(rows: Iterator[RowDict], names: Sequence[str]) -> Iterator[RowDict]:
    """Yield the rows, or one blank row if there are none. Without a row, the library writes no header."""
    yield next(rows, dict.fromkeys(names))
    yield from rows


def _exact_hours(seconds: int) -> float:
    """Convert to hours without rounding, so that the cells add up. The format of the cell shows two decimals."""
    return seconds / 3600


def _format(number_format: str) -> Format:
    return Format().set_num_format(number_format)


_FORMATTERS: dict[CellType, Callable[[Any], Any]] = {
    CellType.text: escape_formula,
    CellType.date: lambda local_time: local_time.date(),
    CellType.instant: lambda instant: instant.astimezone(UTC).replace(tzinfo=None),
    CellType.flag: bool,
    CellType.hours: _exact_hours,
}
_NUMBER_FORMATS = {
    CellType.date: "yyyy-mm-dd",
    CellType.day: "yyyy-mm-dd",
    CellType.time: "hh:mm:ss",
    CellType.hours: "0.00",
    CellType.instant: "yyyy-mm-dd hh:mm:ss",
}

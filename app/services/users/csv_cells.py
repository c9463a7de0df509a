"""The cells of a CSV file of users, and the errors of a file by line and column."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from app.core.spreadsheet import unescape_cell
from app.schemas.users.csv_import import MAX_IMPORT_ROWS
from app.services.users.errors import ImportRefused

COLUMNS = ("email", "first_name", "last_name", "role", "manager_email", "time_zone", "is_active")
NULLABLE_COLUMNS = frozenset({"manager_email", "time_zone", "is_active"})
OPTIONAL_COLUMNS = frozenset({"is_active"})
"""Columns that a header may leave out. Exports up to 0.10 have no is_active."""
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_REPORTED_ERRORS = 100
MAX_MESSAGE_LENGTH = 2000
MAX_NAMED_CELLS = 100
UNREADABLE_ROW_CODES = frozenset({"not_csv", "cell_count"})
"""Errors that make a row unreadable. Then other rows cannot be checked, because their manager may be in that row."""
_COLUMN_NAMES = ", ".join(COLUMNS)
_COLUMNS_BY_LETTERS = {name.replace("_", ""): name for name in COLUMNS}
_DELIMITERS = ",;\t"
_FIRST_LINE = re.compile(r"\s*([^\r\n]*)")
_LINE_BREAK = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class RowError:
    """An error in a cell, or in a whole line if `column` is None."""

    line_number: int
    column: str | None
    message: str
    code: str

    def as_problem(self) -> dict[str, Any]:
        where = ["line", self.line_number] if self.column is None else ["line", self.line_number, self.column]
        return {"loc": where, "message": self.message[:MAX_MESSAGE_LENGTH], "type": self.code}


def raise_if_any(errors: Iterable[RowError]) -> None:
    """Raise ImportRefused if there are errors."""
    if listed := list(errors):
        raise make_import_error(*listed)


def make_import_error(*errors: RowError) -> ImportRefused:
    """Build the error with the first MAX_REPORTED_ERRORS errors, sorted by line and column, and their total."""
    ordered = sorted(
        errors,
        key=lambda row_error: (row_error.line_number, COLUMNS.index(row_error.column) if row_error.column else -1),
    )
    return ImportRefused(
        f"No user was imported. Errors in the file: {len(ordered)}. Correct them, and import the file again.",
        errors=[row_error.as_problem() for row_error in ordered[:MAX_REPORTED_ERRORS]],
        error_count=len(ordered),
    )


def count_lines(content: bytes) -> int:
    """Return the number of line ends in a file, and the maximum number of rows at most."""
    return min(max(content.count(b"\n"), content.count(b"\r")), MAX_IMPORT_ROWS)


def read_rows(content: bytes, errors: list[RowError]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield the rows below the header as cells by column, each with the line on which it starts.

    Add an error for each unreadable row. Raises ImportRefused if the file is not UTF-8, if the header is invalid or is
    not CSV, or if the file has more than MAX_IMPORT_ROWS rows.
    """
    numbered_rows = _number_rows(_decode(content), errors)
    header_line, cells = next(numbered_rows, (1, []))
    header = _name_columns(_without_blank_end(cells))
    raise_if_any(errors)
    raise_if_any(_check_header(header_line, header))
    for count, (number, row) in enumerate(numbered_rows, start=1):
        if count > MAX_IMPORT_ROWS:
            message = f"A file may have at most {MAX_IMPORT_ROWS} users. Move this and later lines to another file."
            raise make_import_error(RowError(number, None, message, "too_many_users"))
        cells = _fit_to_header(row, header)
        if len(cells) != len(header):
            message = (
                f"The header has {len(header)} cells, but this line has {len(cells)}. "
                "Put quotes around a cell that contains the delimiter."
            )
            errors.append(RowError(number, None, message, "cell_count"))
            continue
        values = dict(zip(header, map(unescape_cell, cells), strict=True))
        yield (
            number,
            {name: None if _is_blank(cell) and name in NULLABLE_COLUMNS else cell for name, cell in values.items()},
        )


def _decode(content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise make_import_error(
            RowError(
                1,
                None,
                f"The file has more than {MAX_FILE_BYTES} bytes. Split the file.",
                "file_too_large",
            )
        )
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        number = len(_LINE_BREAK.findall(content[: error.start])) + 1
        message = "This line is not valid UTF-8. Save the file as CSV in UTF-8."
        raise make_import_error(RowError(number, None, message, "not_utf8")) from None


def _name_columns(cells: list[str]) -> list[str]:
    """Return the columns that the header names, however their words are separated: "First Name", "E-Mail".

    A longer header is invalid anyway, and a file may have millions of cells.
    """
    names = {cell: _COLUMNS_BY_LETTERS.get(_letters(cell), cell.strip().casefold()) for cell in cells[:MAX_NAMED_CELLS]}
    return [names.get(cell, cell) for cell in cells]


def _letters(cell: str) -> str:
    return re.sub(r"[\W_]+", "", cell.casefold())


def _fit_to_header(cells: list[str], header: list[str]) -> list[str]:
    """Return the cells with as many blank ones at the end as the header wants.

    Spreadsheets add blank cells where a column was used once, and leave out some at the end of a line.
    """
    if len(cells) > len(header):
        cells = _without_blank_end(cells, keep=len(header))
    missing = header[len(cells) :]
    return cells + [""] * len(missing) if NULLABLE_COLUMNS.issuperset(missing) else cells


def _without_blank_end(cells: list[str], *, keep: int = 0) -> list[str]:
    """Return the cells without the blank ones at the end, but at least `keep`."""
    end = len(cells)
    while end > keep and _is_blank(cells[end - 1]):
        end -= 1
    return cells[:end]


def _is_blank(cell: str) -> bool:
    return not cell.strip()


def _number_rows(text: str, errors: list[RowError]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that have a cell with text, each with the line on which it starts."""
    header = _FIRST_LINE.match(text)
    delimiter = max(_DELIMITERS, key=header[1].count if header else "".count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    number = 1
    try:
        for cells in reader:
            if not all(map(_is_blank, cells)):
                yield number, cells
            number = reader.line_num + 1  # cells may have line breaks
    except csv.Error:
        message = (
            "The file is not valid CSV from this line on. A quote is not closed, text follows a closing quote, or a "
            "cell is too long. Double the quotes inside a quoted cell."
        )
        errors.append(RowError(number, None, message, "not_csv"))


def _check_header(number: int, header: list[str]) -> Iterator[RowError]:
    if not header:
        yield RowError(
            number, None, f"The file is empty. Its first line must name the columns {_COLUMN_NAMES}.", "empty_file"
        )
        return
    for name in COLUMNS:
        count = header.count(name)
        if count == 0 and name not in OPTIONAL_COLUMNS:
            yield RowError(number, name, "This column is missing in the header. Add it.", "column_missing")
        if count > 1:
            yield RowError(number, name, f"The header has this column {count} times. Keep one of them.", "column_twice")
    if unknown := [name for name in header if name not in COLUMNS]:
        quoted = ", ".join(f'"{name[:40]}"' for name in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        message = f"The header has unknown columns: {quoted}{more}. Remove them. The known columns are {_COLUMN_NAMES}."
        yield RowError(number, None, message, "column_unknown")

"""Users as CSV: the columns for import and export, and the errors of a file by line and column.

Nothing here reads the database. `csv_import` checks a file against the database.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.core.email_addresses import email_key
from app.core.spreadsheet import unescape_cell
from app.models.users import Role
from app.schemas.text_checks import MAX_KEY_LENGTH
from app.schemas.users.csv_import import MAX_IMPORT_ROWS, ImportedUser
from app.services.users.errors import ImportRefused

COLUMNS = ("email", "first_name", "last_name", "role", "manager_email", "time_zone")
NULLABLE_COLUMNS = frozenset({"manager_email", "time_zone"})
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_REPORTED_ERRORS = 100
MAX_MESSAGE_LENGTH = 2000
_COLUMN_NAMES = ", ".join(COLUMNS)
_UNREADABLE_ROW_CODES = frozenset({"not_csv", "cell_count"})
"""Errors that make a row unreadable. Then other rows cannot be checked, because their manager may be in that row."""
_FIRST_LINE = re.compile(r"[\r\n]*([^\r\n]*)")
_MESSAGES = {
    "enum": "The role must be one of {expected}.",
    "string_too_short": "This cell must not be empty.",
    "too_long": "This cell is too long. Use at most {max_length} characters.",
}
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


@dataclass(frozen=True, slots=True, eq=False)
class CsvRow:
    """A valid row. `number` is the line of the file on which it starts, counted from 1."""

    number: int
    user: ImportedUser
    email_key: str
    manager_key: str | None

    @property
    def name(self) -> str:
        return f"{self.user.first_name} {self.user.last_name} <{self.user.email}>"


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The content of a file: its valid rows in file order, the same rows with managers first, and its errors."""

    csv_rows: list[CsvRow]
    managers_first: list[CsvRow]
    rows_by_external_manager: dict[str, list[CsvRow]]
    """The rows whose manager is not in the file, by the manager's key."""
    errors: list[RowError]


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


def parse(content: bytes) -> ParsedFile:
    """Parse a CSV file in UTF-8, with commas or semicolons, and with the columns of its header in any order.

    Raises ImportRefused if the file cannot be read; the result holds all other errors. Takes linear time for any
    content, so a hostile file cannot keep a worker process busy.
    """
    errors: list[RowError] = []
    csv_rows: list[CsvRow] = []
    invalid_row_keys: set[str] = set()
    for number, cells in _read_rows(_decode(content), errors):
        try:
            user = ImportedUser.model_validate(cells)
        except ValidationError as error:
            invalid_row_keys.add(email_key(str(cells["email"])[:MAX_KEY_LENGTH]))  # no valid cell is longer
            errors += _convert_errors(number, error)
            continue
        manager_key = None if user.manager_email is None else email_key(user.manager_email)
        csv_rows.append(CsvRow(number, user, email_key(user.email), manager_key))
    if any(row_error.code in _UNREADABLE_ROW_CODES for row_error in errors):
        raise make_import_error(*errors)
    if not csv_rows and not errors:
        raise make_import_error(
            RowError(1, None, "The file has no line below the header. Add a line for each user.", "nobody")
        )
    by_key = _index_by_email(csv_rows, errors)
    return ParsedFile(
        csv_rows,
        _sort_managers_first(csv_rows, by_key, errors),
        _group_by_external_manager(csv_rows, by_key, invalid_row_keys, errors),
        errors,
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


def _read_rows(text: str, errors: list[RowError]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield the rows below the header as cells by column, each with the line on which it starts. Skip blank lines.

    Raises ImportRefused if the header is invalid or is not CSV, or if the file has more than MAX_IMPORT_ROWS rows.
    """
    numbered_rows = _number_rows(text, errors)
    header_line, header = next(numbered_rows, (1, []))
    raise_if_any(errors)
    raise_if_any(_check_header(header_line, header))
    for count, (number, cells) in enumerate(numbered_rows, start=1):
        if count > MAX_IMPORT_ROWS:
            message = f"A file may have at most {MAX_IMPORT_ROWS} users. Move this and later lines to another file."
            raise make_import_error(RowError(number, None, message, "too_many_users"))
        if len(cells) != len(COLUMNS):
            message = (
                f"The header has {len(COLUMNS)} cells, but this line has {len(cells)}. "
                "Put quotes around a cell that contains the delimiter."
            )
            errors.append(RowError(number, None, message, "cell_count"))
            continue
        values = dict(zip(header, map(unescape_cell, cells), strict=True))
        yield (
            number,
            {name: cell if cell.strip() or name not in NULLABLE_COLUMNS else None for name, cell in values.items()},
        )


def _number_rows(text: str, errors: list[RowError]) -> Iterator[tuple[int, list[str]]]:
    header = _FIRST_LINE.match(text)
    delimiter = ";" if header is not None and header[1].count(";") > header[1].count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        for cells in reader:
            if cells:
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
        if count == 0:
            yield RowError(number, name, "This column is missing in the header. Add it.", "column_missing")
        if count > 1:
            yield RowError(number, name, f"The header has this column {count} times. Keep one of them.", "column_twice")
    if unknown := [name for name in header if name not in COLUMNS]:
        quoted = ", ".join(f'"{name[:40]}"' for name in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        message = f"The header has unknown columns: {quoted}{more}. Remove them. The known columns are {_COLUMN_NAMES}."
        yield RowError(number, None, message, "column_unknown")


def _convert_errors(number: int, error: ValidationError) -> Iterator[RowError]:
    for each in error.errors(include_input=False, include_url=False):
        template = _MESSAGES.get(each["type"])
        message = template.format(**each["ctx"]) if template else each["msg"].removeprefix("Value error, ")
        yield RowError(number, str(each["loc"][0]), message[:300], each["type"])


def _index_by_email(csv_rows: list[CsvRow], errors: list[RowError]) -> dict[str, CsvRow]:
    """Index the rows by the key of their e-mail. Add an error for each duplicate."""
    rows_by_key: dict[str, CsvRow] = {}
    for csv_row in csv_rows:
        first = rows_by_key.setdefault(csv_row.email_key, csv_row)
        if first is not csv_row:
            message = f"Line {first.number} has the same e-mail. Remove one of the lines, or change one e-mail."
            errors.append(RowError(csv_row.number, "email", message, "email_twice"))
    return rows_by_key


def _group_by_external_manager(
    csv_rows: list[CsvRow], by_key: dict[str, CsvRow], invalid_row_keys: set[str], errors: list[RowError]
) -> dict[str, list[CsvRow]]:
    """Group the rows whose manager must be in the database by that manager. Check managers inside the file here.

    A manager in an invalid row is not checked, because that row must be corrected first.
    """
    rows_by_key: dict[str, list[CsvRow]] = {}
    for csv_row in csv_rows:
        if csv_row.manager_key is None or csv_row.manager_key in invalid_row_keys:
            continue
        if csv_row.manager_key == csv_row.email_key:
            message = "A user cannot be their own manager. Choose another manager, or leave the cell empty."
            errors.append(RowError(csv_row.number, "manager_email", message, "manager_is_self"))
        elif csv_row.manager_key not in by_key:
            rows_by_key.setdefault(csv_row.manager_key, []).append(csv_row)
        elif by_key[csv_row.manager_key].user.role is Role.employee:
            where = by_key[csv_row.manager_key].number
            message = f"Line {where} makes this manager an employee. Change that role, or choose another manager."
            errors.append(RowError(csv_row.number, "manager_email", message, "manager_invalid"))
    return rows_by_key


def _sort_managers_first(csv_rows: list[CsvRow], by_key: dict[str, CsvRow], errors: list[RowError]) -> list[CsvRow]:
    """Sort the rows so that managers come before their direct reports. Add an error for each manager cycle.

    Uses a loop, because a reporting line of 20,000 users would exceed the recursion limit.
    """
    ordered: list[CsvRow] = []
    placed: set[CsvRow] = set()
    for csv_row in csv_rows:
        path: dict[CsvRow, None] = {}
        current: CsvRow | None = csv_row
        while current is not None and current not in placed and current not in path:
            path[current] = None
            current = _find_manager(current, by_key)
        if current is not None and current in path:
            steps = list(path)
            errors.append(_make_cycle_error(steps[steps.index(current) :]))
        ordered += reversed(path)
        placed.update(path)
    return ordered


def _find_manager(csv_row: CsvRow, by_key: dict[str, CsvRow]) -> CsvRow | None:
    return None if csv_row.manager_key in {None, csv_row.email_key} else by_key.get(str(csv_row.manager_key))


def _make_cycle_error(members: list[CsvRow]) -> RowError:
    """List the cycle, beginning with its first line. A long cycle is shortened to its start and its end."""
    first = min(range(len(members)), key=lambda index: members[index].number)
    names = [csv_row.name for csv_row in [*members[first:], *members[:first], members[first]]]
    message = " -> ".join(names)
    end = ". These managers form a cycle. Change one of them."
    if len(message) + len(end) > MAX_MESSAGE_LENGTH:
        message = f"{names[0]} -> {names[1]} -> ({len(names) - 4} more) -> {names[-2]} -> {names[-1]}"
    return RowError(members[first].number, "manager_email", message + end, "manager_cycle")

"""People as CSV: one description of the columns for import and export, and every fault of a file by line and column.

Nothing here asks the database: what it says against a file is told by `onboarding`.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.core.spreadsheet import unescape_cell
from app.core.text import casefold_key
from app.models.users import Role
from app.schemas.types import MAX_KEY_LENGTH
from app.schemas.users.csv_import import MAX_IMPORT_ROWS, ImportedUser
from app.services.users.errors import ImportRefused

COLUMNS = ("email", "first_name", "last_name", "role", "manager_email", "time_zone")
NULLABLE_COLUMNS = frozenset({"manager_email", "time_zone"})
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_REPORTED_ERRORS = 100
MAX_MESSAGE_LENGTH = 2000
_COLUMN_NAMES = ", ".join(COLUMNS)
_UNREADABLE_ROW_CODES = frozenset({"not_csv", "cell_count"})
"""Faults that lose a row: who is in it can't be judged, nor who names them as manager."""
_FIRST_LINE = re.compile(r"[\r\n]*([^\r\n]*)")
_MESSAGES = {
    "enum": "The role is one of {expected}.",
    "string_too_short": "This can't be empty. Fill it in.",
    "too_long": "This is too long. Write at most {max_length} characters.",
}
_LINE_BREAK = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with a cell, or with a whole line where there is no column."""

    line_number: int
    column: str | None
    message: str
    code: str

    def as_problem(self) -> dict[str, Any]:
        where = ["line", self.line_number] if self.column is None else ["line", self.line_number, self.column]
        return {"loc": where, "message": self.message[:MAX_MESSAGE_LENGTH], "type": self.code}


@dataclass(frozen=True, slots=True, eq=False)
class CsvRow:
    """A row that is right in itself. `number` is the line of the file on which it starts, counted from 1."""

    number: int
    user: ImportedUser
    email_key: str
    manager_key: str | None

    @property
    def name(self) -> str:
        return f"{self.user.first_name} {self.user.last_name} <{self.user.email}>"


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What a file says: its rows in their order, and again with managers first, and what is wrong with it."""

    csv_rows: list[CsvRow]
    managers_first: list[CsvRow]
    rows_by_external_manager: dict[str, list[CsvRow]]
    """The rows whose manager is in no row, by the manager's key."""
    errors: list[RowError]


def raise_if_any(errors: Iterable[RowError]) -> None:
    """Raises ImportRefused if there are any."""
    if listed := list(errors):
        raise make_import_error(*listed)


def make_import_error(*errors: RowError) -> ImportRefused:
    """The error that tells the first of these faults, by line and column, and how many there are."""
    ordered = sorted(
        errors,
        key=lambda row_error: (row_error.line_number, COLUMNS.index(row_error.column) if row_error.column else -1),
    )
    return ImportRefused(
        f"Nobody was imported. Faults found in the file: {len(ordered)}.",
        errors=[row_error.as_problem() for row_error in ordered[:MAX_REPORTED_ERRORS]],
        error_count=len(ordered),
    )


def parse(content: bytes) -> ParsedFile:
    """The people in a file, which is CSV in UTF-8 with commas or semicolons, and a header in any order.

    Raises ImportRefused where it can't be read as such; other faults are in the sheet. In time that grows with the
    file and no faster, whatever is in it.
    """
    errors: list[RowError] = []
    csv_rows: list[CsvRow] = []
    invalid_row_keys: set[str] = set()
    for number, cells in _read_rows(_decode(content), errors):
        try:
            user = ImportedUser.model_validate(cells)
        except ValidationError as error:
            invalid_row_keys.add(casefold_key(str(cells["email"])[:MAX_KEY_LENGTH]))  # longer ones nobody can name
            errors += _convert_errors(number, error)
            continue
        manager_key = None if user.manager_email is None else casefold_key(user.manager_email)
        csv_rows.append(CsvRow(number, user, casefold_key(user.email), manager_key))
    if any(row_error.code in _UNREADABLE_ROW_CODES for row_error in errors):
        raise make_import_error(*errors)
    if not csv_rows and not errors:
        raise make_import_error(
            RowError(1, None, "There is nobody below the header. Add a line for each person.", "nobody")
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
            RowError(1, None, f"The file has more than {MAX_FILE_BYTES} bytes. Split it.", "file_too_large")
        )
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        number = len(_LINE_BREAK.findall(content[: error.start])) + 1
        message = "This line isn't UTF-8. Save the file as CSV in UTF-8."
        raise make_import_error(RowError(number, None, message, "not_utf8")) from None


def _read_rows(text: str, errors: list[RowError]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The rows below the header as cells by column, each with the line on which it starts. Blank lines are no rows.

    Raises ImportRefused where the header is wrong, where a quote makes nonsense of the rest, or where it is too long.
    """
    numbered_rows = _number_rows(text, errors)
    header_line, header = next(numbered_rows, (1, []))
    raise_if_any(errors)
    raise_if_any(_check_header(header_line, header))
    for count, (number, cells) in enumerate(numbered_rows, start=1):
        if count > MAX_IMPORT_ROWS:
            message = f"A file has at most {MAX_IMPORT_ROWS} people. Split it: those from here on into another file."
            raise make_import_error(RowError(number, None, message, "too_many_people"))
        if len(cells) != len(COLUMNS):
            message = f"The header has {len(COLUMNS)} cells, this line {len(cells)}. A cell with a comma needs quotes."
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
            "From here on it isn't CSV: a quote isn't closed, text goes on behind a closing quote, or a cell never "
            "ends. Double the quotes inside a quoted cell."
        )
        errors.append(RowError(number, None, message, "not_csv"))


def _check_header(number: int, header: list[str]) -> Iterator[RowError]:
    if not header:
        yield RowError(
            number, None, f"The file is empty. Its first line names the columns: {_COLUMN_NAMES}.", "empty_file"
        )
        return
    for name in COLUMNS:
        count = header.count(name)
        if count == 0:
            yield RowError(number, name, "The header lacks this column. Add it.", "column_missing")
        if count > 1:
            yield RowError(number, name, f"The header has this column {count} times. Keep one.", "column_twice")
    if unknown := [name for name in header if name not in COLUMNS]:
        quoted = ", ".join(f'"{name[:40]}"' for name in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        message = (
            f"The header has columns that aren't known: {quoted}{more}. Remove them; the columns are {_COLUMN_NAMES}."
        )
        yield RowError(number, None, message, "column_unknown")


def _convert_errors(number: int, error: ValidationError) -> Iterator[RowError]:
    for each in error.errors(include_input=False, include_url=False):
        template = _MESSAGES.get(each["type"])
        message = template.format(**each["ctx"]) if template else each["msg"].removeprefix("Value error, ")
        yield RowError(number, str(each["loc"][0]), message[:300], each["type"])


def _index_by_email(csv_rows: list[CsvRow], errors: list[RowError]) -> dict[str, CsvRow]:
    """The rows by e-mail, as e-mails are compared."""
    rows_by_key: dict[str, CsvRow] = {}
    for csv_row in csv_rows:
        first = rows_by_key.setdefault(csv_row.email_key, csv_row)
        if first is not csv_row:
            message = f"Line {first.number} has the same e-mail. Remove one of the two lines, or give them two e-mails."
            errors.append(RowError(csv_row.number, "email", message, "email_twice"))
    return rows_by_key


def _group_by_external_manager(
    csv_rows: list[CsvRow], by_key: dict[str, CsvRow], invalid_row_keys: set[str], errors: list[RowError]
) -> dict[str, list[CsvRow]]:
    """The rows whose manager the database must know. Rows that have faults of their own are nobody's to judge yet."""
    rows_by_key: dict[str, list[CsvRow]] = {}
    for csv_row in csv_rows:
        if csv_row.manager_key is None or csv_row.manager_key in invalid_row_keys:
            continue
        if csv_row.manager_key == csv_row.email_key:
            message = "Nobody can be their own manager. Choose somebody else, or leave the cell empty."
            errors.append(RowError(csv_row.number, "manager_email", message, "manager_is_self"))
        elif csv_row.manager_key not in by_key:
            rows_by_key.setdefault(csv_row.manager_key, []).append(csv_row)
        elif by_key[csv_row.manager_key].user.role is Role.employee:
            where = by_key[csv_row.manager_key].number
            message = f"Line {where} makes this manager an employee. Change that line, or choose somebody else."
            errors.append(RowError(csv_row.number, "manager_email", message, "manager_invalid"))
    return rows_by_key


def _sort_managers_first(csv_rows: list[CsvRow], by_key: dict[str, CsvRow], errors: list[RowError]) -> list[CsvRow]:
    """The rows in an order in which nobody comes before their manager; each circle of managers is a fault.

    By loop and not by recursion: a company may be one chain of 20,000.
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
    """The circle from its first line on, in full; of one that outgrows a message, both ends."""
    first = min(range(len(members)), key=lambda index: members[index].number)
    names = [csv_row.name for csv_row in [*members[first:], *members[:first], members[first]]]
    message = " -> ".join(names)
    end = ". Nobody can be above their own manager: change one of these."
    if len(message) + len(end) > MAX_MESSAGE_LENGTH:
        message = f"{names[0]} -> {names[1]} -> ({len(names) - 4} more) -> {names[-2]} -> {names[-1]}"
    return RowError(members[first].number, "manager_email", message + end, "manager_cycle")

"""Users in a CSV file: its valid rows, managers first, and the errors of the file.

Nothing here reads the database. `csv_import` checks a file against the database.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from app.core.email_addresses import email_key
from app.models.users import Role
from app.schemas.text_checks import MAX_KEY_LENGTH
from app.schemas.users.csv_import import ImportedUser
from app.services.users.csv_cells import (
    MAX_MESSAGE_LENGTH,
    UNREADABLE_ROW_CODES,
    RowError,
    make_import_error,
    read_rows,
)

_MESSAGES = {
    "enum": "The role must be one of {expected}.",
    "string_too_short": "This cell must not be empty.",
    "too_long": "This cell is too long. Use at most {max_length} characters.",
}


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


def parse(content: bytes) -> ParsedFile:
    """Parse a CSV file in UTF-8, with commas, semicolons or tabs, and with the columns of its header in any order.

    Raises ImportRefused if the file cannot be read; the result holds all other errors. Takes linear time for any
    content, so a hostile file cannot keep a worker process busy.
    """
    errors: list[RowError] = []
    csv_rows: list[CsvRow] = []
    invalid_row_keys: set[str] = set()
    for number, cells in read_rows(content, errors):
        try:
            user = ImportedUser.model_validate(cells)
        except ValidationError as error:
            invalid_row_keys.add(email_key(str(cells["email"])[:MAX_KEY_LENGTH]))  # no valid cell is longer
            errors += _convert_errors(number, error)
            continue
        manager_key = None if user.manager_email is None else email_key(user.manager_email)
        csv_rows.append(CsvRow(number, user, email_key(user.email), manager_key))
    if any(row_error.code in UNREADABLE_ROW_CODES for row_error in errors):
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

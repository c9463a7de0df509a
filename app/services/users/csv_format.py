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

from app.core.spreadsheet import unguarded
from app.core.text import text_key
from app.models.users import Role
from app.schemas.types import MAX_KEY_LENGTH
from app.schemas.users.csv_import import MAX_PEOPLE, ImportedPerson
from app.services.users.errors import ImportRefused

COLUMNS = ("email", "first_name", "last_name", "role", "manager_email", "time_zone")
MAY_BE_EMPTY = frozenset({"manager_email", "time_zone"})
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_FAULTS_TOLD = 100
MAX_MESSAGE_LENGTH = 2000
_NAMED = ", ".join(COLUMNS)
_LOST = frozenset({"not_csv", "cell_count"})
"""Faults that lose a row: who is in it can't be judged, nor who names them as manager."""
_FIRST_LINE = re.compile(r"[\r\n]*([^\r\n]*)")
_SENTENCES = {
    "enum": "The role is one of {expected}.",
    "string_too_short": "This can't be empty. Fill it in.",
    "too_long": "This is too long. Write at most {max_length} characters.",
}
_LINE_BREAK = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a cell, or with a whole line where there is no column."""

    line: int
    column: str | None
    message: str
    kind: str

    def told(self) -> dict[str, Any]:
        where = ["line", self.line] if self.column is None else ["line", self.line, self.column]
        return {"loc": where, "message": self.message[:MAX_MESSAGE_LENGTH], "type": self.kind}


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A row that is right in itself. `number` is the line of the file on which it starts, counted from 1."""

    number: int
    person: ImportedPerson
    email_key: str
    manager_key: str | None

    @property
    def name(self) -> str:
        return f"{self.person.first_name} {self.person.last_name} <{self.person.email}>"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a file says: its rows in their order, and again with managers first, and what is wrong with it."""

    lines: list[Line]
    managers_first: list[Line]
    managers_elsewhere: dict[str, list[Line]]
    """The rows whose manager is in no row, by the manager's key."""
    faults: list[Fault]


def refuse(faults: Iterable[Fault]) -> None:
    """Raises ImportRefused if there are any."""
    if found := list(faults):
        raise refusal(*found)


def refusal(*faults: Fault) -> ImportRefused:
    """The error that tells the first of these faults, by line and column, and how many there are."""
    found = sorted(faults, key=lambda fault: (fault.line, COLUMNS.index(fault.column) if fault.column else -1))
    return ImportRefused(
        f"Nobody was imported. Faults found in the file: {len(found)}.",
        errors=[fault.told() for fault in found[:MAX_FAULTS_TOLD]],
        error_count=len(found),
    )


def read(content: bytes) -> Sheet:
    """The people in a file, which is CSV in UTF-8 with commas or semicolons, and a header in any order.

    Raises ImportRefused where it can't be read as such; other faults are in the sheet. In time that grows with the
    file and no faster, whatever is in it.
    """
    faults: list[Fault] = []
    lines: list[Line] = []
    doubtful: set[str] = set()
    for number, cells in _rows(_text_of(content), faults):
        try:
            person = ImportedPerson.model_validate(cells)
        except ValidationError as error:
            doubtful.add(text_key(str(cells["email"])[:MAX_KEY_LENGTH]))  # longer ones nobody can name
            faults += _of_cells(number, error)
            continue
        manager_key = None if person.manager_email is None else text_key(person.manager_email)
        lines.append(Line(number, person, text_key(person.email), manager_key))
    if any(fault.kind in _LOST for fault in faults):
        raise refusal(*faults)
    if not lines and not faults:
        raise refusal(Fault(1, None, "There is nobody below the header. Add a line for each person.", "nobody"))
    by_key = _by_email(lines, faults)
    return Sheet(lines, _managers_first(lines, by_key, faults), _elsewhere(lines, by_key, doubtful, faults), faults)


def _text_of(content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise refusal(Fault(1, None, f"The file has more than {MAX_FILE_BYTES} bytes. Split it.", "file_too_large"))
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        number = len(_LINE_BREAK.findall(content[: error.start])) + 1
        message = "This line isn't UTF-8. Save the file as CSV in UTF-8."
        raise refusal(Fault(number, None, message, "not_utf8")) from None


def _rows(text: str, faults: list[Fault]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The rows below the header as cells by column, each with the line on which it starts. Blank lines are no rows.

    Raises ImportRefused where the header is wrong, where a quote makes nonsense of the rest, or where it is too long.
    """
    numbered = _numbered(text, faults)
    header_line, header = next(numbered, (1, []))
    refuse(faults)
    refuse(_of_header(header_line, header))
    for count, (number, cells) in enumerate(numbered, start=1):
        if count > MAX_PEOPLE:
            message = f"A file has at most {MAX_PEOPLE} people. Split it: those from here on into another file."
            raise refusal(Fault(number, None, message, "too_many_people"))
        if len(cells) != len(COLUMNS):
            message = f"The header has {len(COLUMNS)} cells, this line {len(cells)}. A cell with a comma needs quotes."
            faults.append(Fault(number, None, message, "cell_count"))
            continue
        found = dict(zip(header, map(unguarded, cells), strict=True))
        yield number, {name: cell if cell.strip() or name not in MAY_BE_EMPTY else None for name, cell in found.items()}


def _numbered(text: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
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
        faults.append(Fault(number, None, message, "not_csv"))


def _of_header(number: int, header: list[str]) -> Iterator[Fault]:
    if not header:
        yield Fault(number, None, f"The file is empty. Its first line names the columns: {_NAMED}.", "empty_file")
        return
    for name in COLUMNS:
        count = header.count(name)
        if count == 0:
            yield Fault(number, name, "The header lacks this column. Add it.", "column_missing")
        if count > 1:
            yield Fault(number, name, f"The header has this column {count} times. Keep one.", "column_twice")
    if unknown := [name for name in header if name not in COLUMNS]:
        shown = ", ".join(f'"{name[:40]}"' for name in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        message = f"The header has columns that aren't known: {shown}{more}. Remove them; the columns are {_NAMED}."
        yield Fault(number, None, message, "column_unknown")


def _of_cells(number: int, error: ValidationError) -> Iterator[Fault]:
    for each in error.errors(include_input=False, include_url=False):
        known = _SENTENCES.get(each["type"])
        said = known.format(**each["ctx"]) if known else each["msg"].removeprefix("Value error, ")
        yield Fault(number, str(each["loc"][0]), said[:300], each["type"])


def _by_email(lines: list[Line], faults: list[Fault]) -> dict[str, Line]:
    """The rows by e-mail, as e-mails are compared."""
    found: dict[str, Line] = {}
    for line in lines:
        first = found.setdefault(line.email_key, line)
        if first is not line:
            message = f"Line {first.number} has the same e-mail. Remove one of the two lines, or give them two e-mails."
            faults.append(Fault(line.number, "email", message, "email_twice"))
    return found


def _elsewhere(
    lines: list[Line], by_key: dict[str, Line], doubtful: set[str], faults: list[Fault]
) -> dict[str, list[Line]]:
    """The rows whose manager the database must know. Rows that have faults of their own are nobody's to judge yet."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        if line.manager_key is None or line.manager_key in doubtful:
            continue
        if line.manager_key == line.email_key:
            message = "Nobody can be their own manager. Choose somebody else, or leave the cell empty."
            faults.append(Fault(line.number, "manager_email", message, "manager_is_self"))
        elif line.manager_key not in by_key:
            found.setdefault(line.manager_key, []).append(line)
        elif by_key[line.manager_key].person.role is Role.employee:
            where = by_key[line.manager_key].number
            message = f"Line {where} makes this manager an employee. Change that line, or choose somebody else."
            faults.append(Fault(line.number, "manager_email", message, "manager_invalid"))
    return found


def _managers_first(lines: list[Line], by_key: dict[str, Line], faults: list[Fault]) -> list[Line]:
    """The rows in an order in which nobody comes before their manager; each circle of managers is a fault.

    By loop and not by recursion: a company may be one chain of 20,000.
    """
    ordered: list[Line] = []
    placed: set[Line] = set()
    for line in lines:
        path: dict[Line, None] = {}
        at: Line | None = line
        while at is not None and at not in placed and at not in path:
            path[at] = None
            at = _manager_of(at, by_key)
        if at is not None and at in path:
            steps = list(path)
            faults.append(_circle(steps[steps.index(at) :]))
        ordered += reversed(path)
        placed.update(path)
    return ordered


def _manager_of(line: Line, by_key: dict[str, Line]) -> Line | None:
    return None if line.manager_key in {None, line.email_key} else by_key.get(str(line.manager_key))


def _circle(members: list[Line]) -> Fault:
    """The circle from its first line on, in full; of one that outgrows a message, both ends."""
    first = min(range(len(members)), key=lambda place: members[place].number)
    names = [line.name for line in [*members[first:], *members[:first], members[first]]]
    said = " -> ".join(names)
    end = ". Nobody can be above their own manager: change one of these."
    if len(said) + len(end) > MAX_MESSAGE_LENGTH:
        said = f"{names[0]} -> {names[1]} -> ({len(names) - 4} more) -> {names[-2]} -> {names[-1]}"
    return Fault(members[first].number, "manager_email", said + end, "manager_cycle")

"""Many people at once, from a file: all of them or nobody.

On SQLite nobody punches while people are written, so all that can be judged before is judged before: `prepare` reads,
`add` looks again at what may have changed since, and writes.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Row, insert, select

from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.security.passwords import NO_PASSWORD
from app.core.server.spool import Write
from app.core.spreadsheet import guarded
from app.models.tables import USER
from app.models.users import Role
from app.schemas.users.csv_import import ImportResult
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.users import administration
from app.services.users.csv_format import COLUMNS, Fault, Line, Sheet, read, refuse

AT_ONCE = 1000
"""Rows in one statement: far from its time-out, and from the number of values that a statement may have."""
_INSERT = insert(USER)
_MANAGER = USER.alias("manager")
_EVERYBODY = (
    select(*USER.c["email", "first_name", "last_name", "role"], _MANAGER.c.email, USER.c.time_zone)
    .join_from(USER, _MANAGER, _MANAGER.c.id == USER.c.manager_id, isouter=True)
    .order_by(USER.c.id)
)
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Prepared:
    """People who can be added as things stand; their rows lack the ids, their own and their managers'."""

    sheet: Sheet
    rows: dict[Line, dict[str, Any]]


async def import_people(
    tx: CallerTransactionRunner[Actor | None],
    content: bytes,
    *,
    dry_run: bool,
    at: datetime,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportResult:
    """Add everybody in a file, or nobody, or only check the file. Raises ImportRefused with all its faults."""
    prepared = await tx.report(prepare, content, at=at)
    if not dry_run:
        await tx.write(add, prepared, at=at, on_progress=on_progress)
    return ImportResult(dry_run=dry_run, users=len(prepared.rows))


def prepare(session: Session, _actor: Actor | None, content: bytes, *, at: datetime) -> Prepared:
    """Read a file of people and hold it against those who are there. Raises ImportRefused with all its faults."""
    sheet = read(content)
    faults, _ = _held_against_database(session, sheet)
    refuse([*sheet.faults, *faults])
    rows = {
        line: administration.as_row(session, line.person, password_hash=NO_PASSWORD, at=at)
        for line in sheet.managers_first
    }
    return Prepared(sheet, rows)


def add(
    session: Session,
    actor: Actor | None,
    prepared: Prepared,
    *,
    at: datetime,
    on_progress: Callable[[int, int], None],
) -> None:
    """Add the people, without passwords; `actor` is None where the operator does it.

    Raises ImportRefused where e-mails or managers have changed since they were prepared.
    """
    locks.lock_rules(session)
    sheet, rows = prepared.sheet, prepared.rows
    for line in sheet.lines:
        administration.check_may_make(actor, line.person.role)
    faults, managers = _held_against_database(session, sheet)
    refuse(faults)
    for zone in sorted({row["time_zone"] for row in rows.values()}):
        administration.register_zone(session, zone)
    for line, person_id in zip(sheet.lines, session.new_ids(USER, len(sheet.lines)), strict=True):
        managers[line.email_key] = rows[line]["id"] = person_id
    done = 0
    for lines in _batches(sheet.managers_first):
        batch = [rows[line] | {"manager_id": managers.get(line.manager_key or "")} for line in lines]
        session.execute(_INSERT, batch)
        born = ((row["id"], {name: row[name] for name in administration.RECORDED}) for row in batch)
        recorder.record_newcomers(session, "user:create", born, at=at, actor_id=actor.id if actor else None)
        done += len(batch)
        on_progress(done, len(rows))


def begin_export(session: Session, actor: Actor, *, at: datetime) -> None:
    """Let an admin take everybody's names and e-mails out, and note it in the record."""
    recorder.record(session, "export:people", at=at, actor_id=actor.id, subject_id=actor.id)


def write_csv(session: Session, out: Write) -> None:
    """Write everybody by id, active or not, as the file that `prepare` reads, a thousand at a time, in one snapshot."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    with session.execute(_EVERYBODY, execution_options={"yield_per": AT_ONCE}) as everybody:
        for batch in _batches(everybody):
            writer.writerows([guarded(cell or "") for cell in row] for row in batch)
            out(buffer.getvalue().encode())
            buffer.seek(0)
            buffer.truncate()
    out(buffer.getvalue().encode())


def _held_against_database(session: Session, sheet: Sheet) -> tuple[list[Fault], dict[str, int]]:
    """What the people who are there have against the sheet, and the ids of those who are named as managers."""
    faults: list[Fault] = []
    taken = {row.email_key for row in _found(session, [line.email_key for line in sheet.lines])}
    for line in sheet.lines:
        if line.email_key in taken:
            message = "Another person has this e-mail already. Remove the line, or change that person instead."
            faults.append(Fault(line.number, "email", message, "email_taken"))
    managers = {row.email_key: row for row in _found(session, sheet.managers_elsewhere)}
    for key, reports in sheet.managers_elsewhere.items():
        if objection := _objection(managers.get(key)):
            kind, message = objection
            faults += [Fault(line.number, "manager_email", message, kind) for line in reports]
    return faults, {key: row.id for key, row in managers.items()}


def _objection(manager: Row[Any] | None) -> tuple[str, str] | None:
    """What stands against this person as a manager, as a code and a sentence."""
    if manager is None:
        return "manager_not_found", "Nobody has this e-mail, here or in the file. Correct it, or add a line for them."
    if manager.role not in {Role.manager, Role.admin}:
        return "manager_invalid", "This person is an employee. Make them a manager first, or choose somebody else."
    if not manager.is_active:
        return "manager_inactive", "This manager is deactivated. Choose somebody else."
    return None


def _found(session: Session, keys: Iterable[str]) -> Iterator[Row[Any]]:
    columns = USER.c["id", "email_key", "role", "is_active"]
    for some in _batches(keys):
        yield from session.execute(select(*columns).where(USER.c.email_key.in_(some)))


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch

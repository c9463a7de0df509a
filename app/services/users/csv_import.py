"""Import of users from a CSV file, either all of them or none.

On SQLite, no user can clock in while the import holds the write lock. So `prepare` checks the file in a read
transaction. `add` repeats only the checks whose result may have changed, and writes the users.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Row, case, insert, select

from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.security.passwords import UNUSABLE_PASSWORD
from app.core.server.spool import Write
from app.core.spreadsheet import STANDARD_DIALECT, CsvDialect, escape_cell
from app.models.tables import USER
from app.models.users import Role
from app.schemas.users.csv_import import NO, YES, UserImportResult
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.users import administration, role_rules
from app.services.users.csv_cells import COLUMNS, RowError, raise_if_any
from app.services.users.csv_format import CsvRow, ParsedFile, parse

BATCH_SIZE = 1000
"""Rows per statement: far below the statement timeout and the limit on parameters of a statement."""
_INSERT = insert(USER)
_MANAGER = USER.alias("manager")
_IS_ACTIVE = case((USER.c.is_active, YES), else_=NO)
_IS_MANAGER = (_MANAGER.c.id == USER.c.manager_id) & ~_MANAGER.c.email.endswith(recorder.ERASED_DOMAIN)
_EXPORTED_USERS = (
    select(*USER.c["email", "first_name", "last_name", "role"], _MANAGER.c.email, USER.c.time_zone, _IS_ACTIVE)
    .join_from(USER, _MANAGER, _IS_MANAGER, isouter=True)
    .where(~USER.c.email.endswith(recorder.ERASED_DOMAIN))
    .order_by(USER.c.id)
)
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """Users that passed all checks. `rows` are their columns, still without their ids and their managers' ids."""

    parsed: ParsedFile
    rows: dict[CsvRow, dict[str, Any]]


async def import_people(
    tx: CallerTransactionRunner[Actor | None],
    content: bytes,
    *,
    dry_run: bool,
    at: datetime,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> UserImportResult:
    """Import all users of a file, or only check the file if `dry_run` is true.

    Raises ImportRefused with all errors of the file. Then no user is imported.
    """
    plan = await tx.report(prepare, content, at=at)
    if not dry_run:
        await tx.write(add, plan, at=at, on_progress=on_progress)
    return UserImportResult(dry_run=dry_run, users=len(plan.rows))


def prepare(session: Session, actor: Actor | None, content: bytes, *, at: datetime) -> ImportPlan:
    """Parse a file, and check it against the database. Raises ImportRefused with all errors of the file."""
    parsed = parse(content)
    errors, _ = _check_against_database(session, actor, parsed)
    raise_if_any([*parsed.errors, *errors])
    rows = {
        csv_row: administration.as_row(session, csv_row.user, password_hash=UNUSABLE_PASSWORD, at=at)
        | {"is_active": csv_row.user.is_active}
        for csv_row in parsed.managers_first
    }
    return ImportPlan(parsed, rows)


def add(
    session: Session,
    actor: Actor | None,
    plan: ImportPlan,
    *,
    at: datetime,
    on_progress: Callable[[int, int], None],
) -> None:
    """Insert the users of a plan, without passwords. `actor` is None for the operator.

    Raises ImportRefused if an e-mail was taken or a manager was changed after `prepare`.
    """
    locks.lock_user_rules(session)
    parsed, rows = plan.parsed, plan.rows
    errors, managers = _check_against_database(session, actor, parsed)
    raise_if_any(errors)
    for zone in sorted({row["time_zone"] for row in rows.values()}):
        administration.register_zone(session, zone)
    for csv_row, user_id in zip(parsed.csv_rows, session.allocate_ids(USER, len(parsed.csv_rows)), strict=True):
        managers[csv_row.email_key] = rows[csv_row]["id"] = user_id
    done = 0
    for csv_rows in _batches(parsed.managers_first):
        batch = [rows[csv_row] | {"manager_id": managers.get(csv_row.manager_key or "")} for csv_row in csv_rows]
        session.execute(_INSERT, batch)
        created = ((row["id"], {name: row[name] for name in administration.AUDITED_FIELDS}) for row in batch)
        actor_id, secrets = actor.id if actor else None, {"password_hash": UNUSABLE_PASSWORD}
        recorder.record_created_users(session, "user:create", created, secrets=secrets, at=at, actor_id=actor_id)
        done += len(batch)
        on_progress(done, len(rows))


def record_export(session: Session, actor: Actor, *, at: datetime) -> None:
    """Record in the audit log that an admin exports the names and e-mails of all users."""
    recorder.record(session, "export:people", at=at, actor_id=actor.id, subject_id=actor.id)


def write_csv(session: Session, out: Write, dialect: CsvDialect = STANDARD_DIALECT) -> None:
    """Write all users by id, in the format of the import. Reads one snapshot in batches.

    Deactivated users are included. Erased ones are left out, also as managers, because their pseudonyms are no names.
    """
    buffer = io.StringIO(newline="")
    buffer.write(dialect.mark)
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    with session.execute(_EXPORTED_USERS, execution_options={"yield_per": BATCH_SIZE}) as users:
        for batch in _batches(users):
            writer.writerows([escape_cell(cell or "") for cell in row] for row in batch)
            out(buffer.getvalue().encode())
            buffer.seek(0)
            buffer.truncate()
    out(buffer.getvalue().encode())


def _check_against_database(
    session: Session, actor: Actor | None, parsed: ParsedFile
) -> tuple[list[RowError], dict[str, int]]:
    """Return the conflicts of the file with users in the database, and the ids of its managers found there.

    Raises the errors of `check_may_create_role` and `check_may_assign`. A manager in the file may have no password,
    because all users in the file are new.
    """
    errors: list[RowError] = []
    for csv_row in parsed.csv_rows:
        role_rules.check_may_create_role(actor, csv_row.user.role)
    taken = {row.email_key for row in _find_users(session, [csv_row.email_key for csv_row in parsed.csv_rows])}
    for csv_row in parsed.csv_rows:
        if csv_row.email_key in taken:
            message = "Another user already has this e-mail. Remove the line, or change that user instead."
            errors.append(RowError(csv_row.number, "email", message, "email_taken"))
    managers = {row.email_key: row for row in _find_users(session, parsed.rows_by_external_manager)}
    for manager in managers.values():
        role_rules.check_may_assign(actor, manager.password_hash)
    for key, reports in parsed.rows_by_external_manager.items():
        if problem := _manager_problem(managers.get(key)):
            code, message = problem
            errors += [RowError(csv_row.number, "manager_email", message, code) for csv_row in reports]
    return errors, {key: row.id for key, row in managers.items()}


def _manager_problem(manager: Row[Any] | None) -> tuple[str, str] | None:
    """Return code and message if this user cannot be a manager, else None."""
    if manager is None:
        return (
            "manager_not_found",
            "No user has this e-mail, here or in the file. Correct it, or add a line.",
        )
    if manager.role not in {Role.manager, Role.admin}:
        return "manager_invalid", "This user is an employee. Make them a manager first, or choose another manager."
    if not manager.is_active:
        return "manager_inactive", "This manager is deactivated. Choose another manager."
    return None


def _find_users(session: Session, keys: Iterable[str]) -> Iterator[Row[Any]]:
    columns = USER.c["id", "email_key", "role", "is_active", "password_hash"]
    for batch in _batches(keys):
        yield from session.execute(select(*columns).where(USER.c.email_key.in_(batch)))


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH_SIZE)):
        yield batch

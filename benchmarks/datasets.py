"""Companies inserted straight into a database: for this service on both engines, and for the baseline."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, DateTime, Executable, Insert, bindparam, column, insert, literal, select, table, text
from sqlalchemy.engine import URL

from app.core.database.column_types import Instant
from app.core.email_addresses import email_key
from app.core.security.passwords import hash_password
from app.core.text import name_key
from app.models.tables import ENTRY, PROJECT, TIME_ZONE, USER
from benchmarks.bulk_load import advance_sequences, without_constraints
from benchmarks.company import ADMIN, ENTRY_HOURS, FIRST_EMPLOYEE, PROJECTS, START_HOURS, CompanySize
from tests.support.factories import PASSWORD

FETCH_SIZE = 5000
DESCRIPTION = "Minutes, and answers to mails"
Values = dict[str, Any]

_START, _END, _LAST, _SHIFT = bindparam("start", type_=Instant), bindparam("end", type_=Instant), "last", "slot"
_OUR_DAY = insert(ENTRY).from_select(
    [
        "user_id", "project_id", "start_time", "end_time", "description", "time_zone", "needs_review", "version",
        "created_at", "updated_at",
    ],
    select(
        USER.c.id, 1 + (USER.c.id + bindparam(_SHIFT)) % len(PROJECTS), _START, _END, literal(DESCRIPTION),
        literal("UTC"), literal(False), literal(1), _START, _END,
    ).where(USER.c.id.between(FIRST_EMPLOYEE, bindparam(_LAST))),
)  # fmt: skip
_BASELINE_DAY = text(
    "INSERT INTO timeentry (user_id, project_id, start_time, end_time, description) "
    "SELECT id, 1 + (id + :slot) % :projects, :start, :end, :description "
    'FROM "user" WHERE id BETWEEN :first AND :last'
).bindparams(
    bindparam("start", type_=DateTime),
    bindparam("end", type_=DateTime),
    description=DESCRIPTION,
    first=FIRST_EMPLOYEE,
    projects=len(PROJECTS),
)


def load_ours(url: URL, company_size: CompanySize) -> None:
    """Fill a migrated database of this service."""
    now = datetime.now(UTC).replace(microsecond=0)
    own = {"password_hash": hash_password(PASSWORD), "time_zone": "UTC", "created_at": now}
    with without_constraints(url, ENTRY.name) as connection:
        connection.execute(insert(TIME_ZONE), [{"name": "UTC"}])
        _insert(connection, insert(USER), (_with_keys(user) | own for user in company_size.users()))
        _insert(connection, insert(PROJECT), (_project(number, now) for number in PROJECTS))
        _insert_entries(connection, company_size, _OUR_DAY, UTC)
        advance_sequences(connection, "user", "project")


def load_baseline(url: URL, company_size: CompanySize) -> None:
    """Fill the tables of the baseline. Its admin is kept, and all users get the admin's password."""
    with without_constraints(url, "timeentry") as connection:
        password = connection.exec_driver_sql(f'SELECT hashed_password FROM "user" WHERE id = {ADMIN}').scalar_one()  # noqa: S608
        users = (user | {"hashed_password": password} for user in company_size.users() if user["id"] != ADMIN)
        _insert_into(connection, "user", users)
        _insert_into(
            connection, "project", ({"id": each, "name": f"Project {each}", "is_active": True} for each in PROJECTS)
        )
        _insert_entries(connection, company_size, _BASELINE_DAY, None)
        advance_sequences(connection, "user", "project")


def _insert_entries(connection: Connection, company_size: CompanySize, statement: Executable, zone: Any) -> None:
    """Insert the entries of all employees, day by day."""
    for day, last in company_size.days():
        for shift, hour in enumerate(START_HOURS):
            start = datetime.combine(day, time(hour), zone)
            values = {"slot": shift, "last": last, "start": start, "end": start + timedelta(hours=ENTRY_HOURS)}
            connection.execute(statement, values)


def _insert_into(connection: Connection, name: str, rows: Iterable[Values]) -> None:
    """Insert rows into a table that is not declared here. The keys of the first row are the columns."""
    rows = iter(rows)
    first = next(rows)
    statement = insert(table(name, *(column(key) for key in first)))
    connection.execute(statement, first)
    _insert(connection, statement, rows)


def _insert(connection: Connection, statement: Insert, rows: Iterable[Values]) -> None:
    batch: list[Values] = []
    for row in rows:
        batch.append(row)
        if len(batch) == FETCH_SIZE:
            connection.execute(statement, batch)
            batch = []
    if batch:
        connection.execute(statement, batch)


def _with_keys(user: Values) -> Values:
    name = f"{user['first_name']} {user['last_name']}"
    return user | {"email_key": email_key(user["email"]), "name_key": name_key(name)}


def _project(number: int, now: datetime) -> Values:
    name = f"Project {number}"
    return {"id": number, "name": name, "name_key": name_key(name), "is_active": True, "created_at": now}

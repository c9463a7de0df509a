"""Companies written straight into a database, set by set: ours on both engines, and the baseline's tables."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Executable, Insert, bindparam, column, insert, literal, select, table, text
from sqlalchemy.engine import URL

from app.core.database.column_types import Instant
from app.core.text import text_key
from app.models.tables import ENTRY, PROJECT, USER, ZONE
from benchmarks.bulk_load import count_on, unguarded
from benchmarks.company import ADMIN, ENTRY_HOURS, FIRST_EMPLOYEE, PROJECTS, START_HOURS, Layout
from tests.support.factories import password_hash

ROWS_AT_ONCE = 5000
DESCRIPTION = "Minutes, and answers to mails"
Values = dict[str, Any]

_START, _END, _LAST, _SLOT = bindparam("start", type_=Instant), bindparam("end", type_=Instant), "last", "slot"
_OUR_DAY = insert(ENTRY).from_select(
    [
        "user_id", "project_id", "start_time", "end_time", "description", "time_zone", "needs_review", "version",
        "created_at", "updated_at",
    ],
    select(
        USER.c.id, 1 + (USER.c.id + bindparam(_SLOT)) % len(PROJECTS), _START, _END, literal(DESCRIPTION),
        literal("UTC"), literal(False), literal(1), _START, _END,
    ).where(USER.c.id.between(FIRST_EMPLOYEE, bindparam(_LAST))),
)  # fmt: skip
_BASELINE_DAY = text(
    "INSERT INTO timeentry (user_id, project_id, start_time, end_time, description) "
    "SELECT id, 1 + (id + :slot) % :projects, CAST(:start AS timestamp), CAST(:end AS timestamp), :description "
    'FROM "user" WHERE id BETWEEN :first AND :last'
).bindparams(description=DESCRIPTION, first=FIRST_EMPLOYEE, projects=len(PROJECTS))


def load_ours(url: URL, layout: Layout) -> None:
    """Fill a migrated database of ours."""
    now = datetime.now(UTC).replace(microsecond=0)
    own = {"password_hash": password_hash(), "time_zone": "UTC", "created_at": now}
    with unguarded(url, ENTRY.name) as connection:
        connection.execute(insert(ZONE), [{"name": "UTC"}])
        _insert(connection, insert(USER), (_with_keys(person) | own for person in layout.staff()))
        _insert(connection, insert(PROJECT), (_project(number, now) for number in PROJECTS))
        _record(connection, layout, _OUR_DAY, UTC)
        count_on(connection, "user", "project")


def load_baseline(url: URL, layout: Layout) -> None:
    """Fill the tables that the baseline has made; its own admin stays, whose password everybody gets."""
    with unguarded(url, "timeentry") as connection:
        password = connection.exec_driver_sql(f'SELECT hashed_password FROM "user" WHERE id = {ADMIN}').scalar_one()  # noqa: S608
        people = (person | {"hashed_password": password} for person in layout.staff() if person["id"] != ADMIN)
        _insert_into(connection, "user", people)
        _insert_into(
            connection, "project", ({"id": each, "name": f"Project {each}", "is_active": True} for each in PROJECTS)
        )
        _record(connection, layout, _BASELINE_DAY, None)
        count_on(connection, "user", "project")


def _record(connection: Connection, layout: Layout, statement: Executable, zone: Any) -> None:
    """Everybody's entries, day by day."""
    for day, last in layout.days():
        for slot, hour in enumerate(START_HOURS):
            start = datetime.combine(day, time(hour), zone)
            values = {"slot": slot, "last": last, "start": start, "end": start + timedelta(hours=ENTRY_HOURS)}
            connection.execute(statement, values)


def _insert_into(connection: Connection, name: str, rows: Iterable[Values]) -> None:
    """Rows into a table that isn't described here: its columns are the first row's."""
    rows = iter(rows)
    first = next(rows)
    statement = insert(table(name, *(column(key) for key in first)))
    connection.execute(statement, first)
    _insert(connection, statement, rows)


def _insert(connection: Connection, statement: Insert, rows: Iterable[Values]) -> None:
    batch: list[Values] = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS_AT_ONCE:
            connection.execute(statement, batch)
            batch = []
    if batch:
        connection.execute(statement, batch)


def _with_keys(person: Values) -> Values:
    name = f"{person['first_name']} {person['last_name']}"
    return person | {"email_key": text_key(person["email"]), "name_key": text_key(name)}


def _project(number: int, now: datetime) -> Values:
    name = f"Project {number}"
    return {"id": number, "name": name, "name_key": text_key(name), "is_active": True, "created_at": now}

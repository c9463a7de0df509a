"""The engine for PostgreSQL: how its connections are set up, and what travels with a transaction's first statement."""

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext, ExecutionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlmodel import create_engine

from app.core.config import Settings
from app.core.few_trips import FewTripsConnection
from app.core.statement_options import LOCK_PERSON, PLANNED_ONCE

CONNECT_TIMEOUT_SECONDS = 3
POOL_WAIT_SECONDS = 2


def postgresql_engine(settings: Settings) -> Engine:
    """Connections with a limit on everything that may be waited for, and one round trip less for each transaction."""
    engine = create_engine(
        settings.database_url,
        pool_size=settings.DB_POOL_SIZE + settings.REPORTS_AT_ONCE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        hide_parameters=True,  # an error would quote them in the log: e-mails, hashes
        connect_args={
            "connection_factory": FewTripsConnection,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 2,
            "tcp_user_timeout": 8000,
            "client_encoding": "utf8",  # whatever the database's own: what write_soon renders is decoded as such
            "application_name": "employee-time-tracking-api",
        },
    )
    limits = (
        f"SET LOCAL statement_timeout = '{settings.DB_STATEMENT_TIMEOUT_SECONDS}s'; "
        f"SET LOCAL lock_timeout = '{settings.DB_LOCK_TIMEOUT_SECONDS}s'; "
        "SET LOCAL idle_in_transaction_session_timeout = '30s'; "
        "SET LOCAL jit = off; "  # compiling a report's statement takes longer than running it
    )
    to_write = f"BEGIN; {limits}"
    to_read = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {limits}"

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        driver_of(connection).open_with(to_write if writes else to_read)

    event.listen(engine, "begin", begin)
    event.listen(engine, "checkout", _check_alive)
    event.listen(engine, "checkin", _let_rest)
    event.listen(engine, "handle_error", _forget_stale_plans)
    event.listen(engine, "before_cursor_execute", _before_statement, retval=True)
    return engine


def _check_alive(driver: DBAPIConnection, _record: object, _proxy: object) -> None:
    """Let nobody have a connection that died in the pool: after a restart of PostgreSQL none of them is alive."""
    assert isinstance(driver, FewTripsConnection)
    if not driver.is_alive():
        raise InvalidatePoolError


def _let_rest(driver: DBAPIConnection | None, _record: object) -> None:
    if isinstance(driver, FewTripsConnection):
        driver.rest()


def _forget_stale_plans(context: ExceptionContext) -> None:
    """A plan that a migration made wrong, or that somebody discarded, goes with its connection and all others."""
    if getattr(context.original_exception, "pgcode", None) in {"0A000", "26000"}:
        context.is_disconnect = True


def _before_statement(
    _connection: Connection,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: ExecutionContext | None,
    executemany: bool,
) -> tuple[str, Any]:
    """Send a PostgreSQL transaction's limits, and the lock on a person, in the same round trip as its first statement.

    SET LOCAL, since PgBouncer refuses limits given as connection options. The lock is a statement of its own, so the
    one behind it takes its snapshot after the lock was granted and sees what the last holder committed; FOR UPDATE in
    the reading statement would join the fresh person with stale entries. (SQLite's BEGIN IMMEDIATE locks all at once.)
    """
    before = cursor.connection.take_waiting().replace("%", "%%")
    if cursor.name is not None:
        cursor.withhold = True  # psycopg2 knows of no transaction; a cursor that is to outlive one needs none
    if before and (executemany or cursor.name is not None):  # a server-side cursor takes one statement only
        with cursor.connection.cursor() as plain_cursor:
            plain_cursor.execute(before, ())
        return statement, parameters
    options = context.execution_options if context is not None else {}
    if PLANNED_ONCE in options:
        statement = cursor.connection.planned(statement, parameters)
    if (person := options.get(LOCK_PERSON)) is not None:
        before += f'SELECT id FROM "user" WHERE id = {int(person)} FOR NO KEY UPDATE; '  # noqa: S608 - an int
    return before + statement, parameters


def driver_of(connection: Connection) -> FewTripsConnection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, FewTripsConnection)
    return driver

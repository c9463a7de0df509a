"""Engines, transactions and the one place where the two databases differ in how a transaction opens."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, BinaryIO

from psycopg2 import Error as PostgreSQLError
from sqlalchemy import Connection, Delete, Engine, Insert, Select, Table, Update, create_mock_engine, event
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import Compiled
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext, ExecutionContext
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlmodel import Session as SQLModelSession
from sqlmodel import create_engine

from app.core.config import Settings
from app.core.errors import DomainError, Unavailable
from app.core.postgresql import FewTripsConnection
from app.core.tokens import Claims

CONNECT_TIMEOUT_SECONDS = 3
_PSYCOPG2 = create_mock_engine("postgresql+psycopg2://", lambda *_: None).dialect
POOL_WAIT_SECONDS = 2
LOCK_PERSON = "lock_person"
"""Execution option of a statement that must first lock this person's row: see `_before_statement`."""
PLANNED_ONCE = "planned_once"
"""Execution option of a statement that is built once: PostgreSQL plans it once for each connection, not each time."""


class ServiceBusy(Unavailable):
    code = "service_busy"
    title = "The service is busy"


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database is unavailable"
    retry_after_seconds = 2


class Session(SQLModelSession):
    """One transaction of one request, with what every service may need to know about it."""

    settings: Settings
    request_id: str
    writes: bool
    """Whether this is a transaction that writes."""
    chain_heads: dict[int, tuple[int, str]]
    """Length and last link of the chains that this transaction has locked and read."""
    unnoted_use: Claims | None
    """The credential of this request, if its last use was written down some time ago: see `identity.note_use`."""

    def upsert(self, table: Table) -> SqliteInsert | PostgresqlInsert:
        """An INSERT in this engine's words, which know what to do where the row is there already."""
        return SqliteInsert(table) if self.settings.is_sqlite else PostgresqlInsert(table)

    def write_soon(self, statement: Insert | Update | Delete, values: dict[str, Any]) -> None:
        """Write in the same round trip as the next statement, or with the commit: for rows whose answer nobody needs.

        On PostgreSQL the statement waits, as text, in front of whatever comes next, so it is done before that is. On
        SQLite there is no round trip to save.
        """
        connection = self.connection()
        if connection.dialect.name == "sqlite":
            connection.execute(statement, values)
            return
        compiled = _compiled(statement)
        driver = _driver_of(connection)
        with driver.cursor() as cursor:
            written: bytes = cursor.mogrify(compiled.string, compiled.construct_params(values))
        driver.add_waiting(f"{written.decode()}; ")

    def may_take(self, seconds: int) -> None:
        """Let each statement of this transaction take so long. (SQLite has no limit.)"""
        if not self.settings.is_sqlite:
            self.connection().exec_driver_sql(f"SET LOCAL statement_timeout = '{seconds}s'")

    def copy_csv(self, statement: Select[Any], out: BinaryIO) -> None:
        """Write the rows of a statement as CSV, rendered by PostgreSQL, whatever their number: lines end with a line
        feed, and NULL is an empty cell. Raises what `out.write` raises."""
        connection = self.connection()
        compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
        driver = _driver_of(connection)
        with driver.cursor() as cursor:
            rows = cursor.mogrify(compiled.string, compiled.construct_params()).decode()
            try:
                cursor.copy_expert(f"COPY ({rows}) TO STDOUT (FORMAT csv)", out)
            except PostgreSQLError as error:  # as SQLAlchemy would have told it
                raise DBAPIError.instance("COPY", None, error, PostgreSQLError, hide_parameters=True) from error
            except BaseException:
                driver.cancel()  # else the rest of the rows would be waited for
                raise


class Database:
    """The connections of one process. `reading()` and `writing()` are the only ways to a transaction."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = _make_engine(settings)
        self._writer = self.engine.execution_options(writes=True)

    @contextmanager
    def reading(self, request_id: str = "") -> Iterator[Session]:
        """A read-only transaction: every statement in it sees the same snapshot."""
        with self._session(self.engine, request_id, writes=False) as session:
            yield session

    @contextmanager
    def writing(self, request_id: str = "") -> Iterator[Session]:
        """A writing transaction, committed when the block ends; an error undoes it, but for a recorded refusal."""
        with self._session(self._writer, request_id, writes=True) as session:
            try:
                yield session
            except DomainError as refusal:
                if refusal.is_recorded:
                    session.commit()
                raise
            session.commit()

    @contextmanager
    def _session(self, engine: Engine, request_id: str, *, writes: bool) -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session:
            session.settings = self.settings
            session.request_id = request_id
            session.writes = writes
            session.chain_heads = {}
            session.unnoted_use = None
            yield session

    def close(self) -> None:
        self.engine.dispose()


def _driver_of(connection: Connection) -> FewTripsConnection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, FewTripsConnection)
    return driver


@cache
def _compiled(statement: Insert | Update | Delete) -> Compiled:
    """A statement built once, as text for psycopg2. Its values need no more than psycopg2's own adaptation."""
    return statement.compile(dialect=_PSYCOPG2)


def is_vain_wait(error: DBAPIError) -> bool:
    """Whether a locking statement waited for as long as it may: lock_not_available, or query_canceled where it waited
    for its place in the queue first and for the lock then, each for less than the lock's time-out."""
    return getattr(error.orig, "pgcode", None) in {"55P03", "57014"}


def _make_engine(settings: Settings) -> Engine:
    return _sqlite_engine(settings) if settings.is_sqlite else _postgresql_engine(settings)


def _sqlite_engine(settings: Settings) -> Engine:
    url = settings.database_url
    _make_private(str(url.database))
    engine = create_engine(
        url,
        pool_size=settings.DB_POOL_SIZE + settings.REPORTS_AT_ONCE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        hide_parameters=True,
        # isolation_level=None: the driver's own BEGINs lose updates and savepoints; ours are explicit, below.
        connect_args={
            "check_same_thread": False,
            "isolation_level": None,
            "timeout": settings.DB_LOCK_TIMEOUT_SECONDS,
        },
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "reset", _end_sqlite_transaction)
    return engine


def _postgresql_engine(settings: Settings) -> Engine:
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
        _driver_of(connection).open_with(to_write if writes else to_read)

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


def _make_private(file: str) -> None:
    """Create the file, where there is none yet, for its owner only: it holds everyone's hours and password hashes."""
    with suppress(OSError):  # a folder that isn't there is the engine's to tell
        os.close(os.open(file, os.O_CREAT | os.O_EXCL, 0o600))


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    assert isinstance(connection, sqlite3.Connection)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # an acknowledged punch survives a power cut
        "foreign_keys = ON",
        "recursive_triggers = ON",  # else INSERT OR REPLACE passes by the audit table's DELETE trigger
        "trusted_schema = OFF",
        "secure_delete = ON",  # what was erased is overwritten
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _end_sqlite_transaction(connection: DBAPIConnection, _record: object, _state: object) -> None:
    """A COMMIT that SQLite refuses leaves its transaction open, and SQLAlchemy counts it as ended: the connection would
    go back to the pool with the write lock of the whole file."""
    assert isinstance(connection, sqlite3.Connection)
    connection.rollback()

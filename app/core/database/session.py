"""Transactions, and what a service can ask of one, on either engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, BinaryIO

from psycopg2 import Error as PostgreSQLError
from sqlalchemy import Delete, Engine, Insert, Select, Table, Update, create_mock_engine
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import Compiled
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session as SQLModelSession

from app.core.config.settings import Settings
from app.core.database.postgresql.call_timeout import Watchdog
from app.core.database.postgresql.engine import driver_of, may_take, postgresql_engine
from app.core.database.sqlite.engine import sqlite_engine
from app.core.errors import DomainError, Unavailable
from app.core.security.keyring import Keyring

ROWS_AT_ONCE = 1000
"""How many rows a statement whose rows are streamed fetches at once (`yield_per`)."""
_PSYCOPG2 = create_mock_engine("postgresql+psycopg2://", lambda *_: None).dialect


class ServiceBusy(Unavailable):
    code = "service_busy"
    title = "The service is busy"


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database is unavailable"
    retry_after_seconds = 2


class Session(SQLModelSession):
    """One transaction of one request. What a service keeps for as long as it lasts is in `info`."""

    settings: Settings
    keyring: Keyring
    request_id: str
    writes: bool
    """Whether this is a transaction that writes."""

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
        driver = driver_of(connection)
        with driver.cursor() as cursor:
            written: bytes = cursor.mogrify(compiled.string, compiled.construct_params(values))
        driver.add_waiting(f"{written.decode()}; ")

    def may_take(self, seconds: int) -> None:
        """Let each statement of this transaction take so long. (SQLite has no limit.)"""
        if not self.settings.is_sqlite:
            may_take(self.connection(), seconds)

    def may_take_forever(self) -> None:
        """Let this transaction and its statements take what they take: an operator's, who watches."""
        if not self.settings.is_sqlite:
            may_take(self.connection(), 0)
            self.connection().exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")

    def copy_csv(self, statement: Select[Any], out: BinaryIO) -> None:
        """Write the rows of a statement as CSV, rendered by PostgreSQL, whatever their number: lines end with a line
        feed, and NULL is an empty cell. Raises what `out.write` raises."""
        connection = self.connection()
        compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
        driver = driver_of(connection)
        with driver.cursor() as cursor:
            rows = cursor.mogrify(compiled.string, compiled.construct_params()).decode()
            try:
                cursor.copy_expert(f"COPY ({rows}) TO STDOUT (FORMAT csv)", out)
            except PostgreSQLError as error:  # as SQLAlchemy would have told it
                raise DBAPIError.instance("COPY", None, error, PostgreSQLError, hide_parameters=True) from error
            except BaseException:
                connection.invalidate()  # else the rest of the rows would be waited for
                raise


class Database:
    """The connections of one process. `reading()` and `writing()` are the only ways to a transaction."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keyring = Keyring(settings)
        self._watchdog: Watchdog | None = None
        if settings.is_sqlite:
            self.engine = sqlite_engine(settings)
        else:
            self.engine, self._watchdog = postgresql_engine(settings)
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
            session.keyring = self.keyring
            session.request_id = request_id
            session.writes = writes
            yield session

    def hang_up(self) -> None:
        """Wait for no answer of PostgreSQL any longer: every call that is under way fails."""
        if self._watchdog is not None:
            self._watchdog.end_all()

    def close(self) -> None:
        self.engine.dispose()


@cache
def _compiled(statement: Insert | Update | Delete) -> Compiled:
    """A statement built once, as text for psycopg2. Its values need no more than psycopg2's own adaptation."""
    return statement.compile(dialect=_PSYCOPG2)


def is_vain_wait(error: DBAPIError) -> bool:
    """Whether a locking statement waited for as long as it may: lock_not_available, or query_canceled where it waited
    for its place in the queue first and for the lock then, each for less than the lock's time-out."""
    return getattr(error.orig, "pgcode", None) in {"55P03", "57014"}

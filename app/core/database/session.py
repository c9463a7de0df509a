"""Transactions and their operations, alike on SQLite and PostgreSQL."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Delete, Engine, Insert, Select, Table, Update
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session as SQLModelSession

from app.core.config.settings import Settings
from app.core.database.postgresql.call_timeout import ConnectionWatchdog
from app.core.database.postgresql.engine import postgresql_engine
from app.core.database.postgresql.operations import PostgreSQLOperations
from app.core.database.sqlite.engine import sqlite_engine
from app.core.database.sqlite.operations import SQLiteOperations
from app.core.errors import DomainError, Unavailable
from app.core.security.keyring import Keyring


class ServiceBusy(Unavailable):
    code = "service_busy"
    title = "Service busy"


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "Database unavailable"
    retry_after_seconds = 2


class Session(SQLModelSession):
    """One transaction of one request. Services cache values for its duration in `info`.

    The transaction is that of the connection `core`, and the ORM joins it when it is used.
    """

    settings: Settings
    operations: SQLiteOperations | PostgreSQLOperations
    keyring: Keyring
    request_id: str
    writes: bool
    """True in a write transaction."""
    is_committed: bool = False

    _connection: Connection | None = None

    def __init__(self, engine: Engine) -> None:
        super().__init__(expire_on_commit=False, join_transaction_mode="rollback_only")
        self._engine = engine

    @property
    def core(self) -> Connection:
        """The connection of this transaction, which begins when it is first used.

        A statement of Core may run on it directly. That costs a worker less than `execute`, because the ORM has no part
        in it. Use `execute` in `begin_nested`, because the ORM begins a savepoint at its first statement.
        """
        if self._connection is None:
            self._connection = self._engine.connect()
            self._connection.begin()  # also for a statement that is only queued
        return self._connection

    def get_bind(self, *_arguments: Any, **_options: Any) -> Connection:
        """Return the connection that the ORM uses for any statement."""
        return self.core

    def commit(self) -> None:
        """Commit the transaction, and remember that."""
        if self.in_transaction():  # the ORM was used, and may have changes to flush
            super().commit()
        if self._connection is not None:
            self._connection.commit()
        self._close_connection()
        self.is_committed = True

    def rollback(self) -> None:
        """Roll back the transaction. The next statement begins another one."""
        super().rollback()
        self._close_connection()

    def close(self) -> None:
        """Roll back what is not committed."""
        super().close()
        self._close_connection()

    def _close_connection(self) -> None:
        """Return the connection to the pool, which rolls back its transaction if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def execute_later(self, statement: Insert | Update | Delete, values: dict[str, Any]) -> None:
        """Queue a statement and send it together with the next one, or with COMMIT, to save a round trip.

        Errors are raised there, not here. On SQLite the statement runs at once.
        """
        self.operations.execute_later(self.core, statement, values)

    def set_statement_timeout(self, seconds: int) -> None:
        """Set the timeout in seconds for each statement of this transaction."""
        self.operations.set_statement_timeout(self.core, seconds)

    def set_lock_timeout(self, milliseconds: int) -> None:
        """Set the timeout for each wait for a lock in the rest of this transaction. It is sent with the next statement.

        After a shorter timeout than DB_LOCK_TIMEOUT_SECONDS, `run_with_retry` retries the transaction.
        """
        self.operations.set_lock_timeout(self.core, milliseconds)

    def disable_timeouts(self) -> None:
        """Remove all timeouts from this transaction. Use it only for commands that an operator supervises."""
        self.operations.disable_timeouts(self.core)

    def lock_keys(self, *keys: str) -> None:
        """Lock these keys until this transaction ends. Other transactions that lock one of them wait.

        Pass several keys in the same order everywhere, to avoid deadlocks.
        """
        self.operations.lock_keys(self.core, *keys)

    def find_missing_privileges(self, required: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the privileges on tables that the database role lacks. SQLite has none."""
        return self.operations.find_missing_privileges(self.core, required)

    def check_writable(self) -> None:
        """Raise DBAPIError, which names the cause, if write transactions on PostgreSQL would be read-only."""
        self.operations.check_writable(self.core)

    def find_hidden_tables(self, tables: Set[str]) -> list[str]:
        """Return one sentence for each table that another relation hides by its schema. SQLite has none."""
        return self.operations.find_hidden_tables(self.core, tables)

    def find_damage(self, tables: Set[str]) -> list[str]:
        """Return one sentence for each row that is missing from an index, and for other damage of an SQLite file.

        It reads the whole file, on PostgreSQL the indexes of these tables, if the extension amcheck is installed.
        """
        return self.operations.find_damage(self.core, tables)

    def allocate_ids(self, table: Table, count: int) -> Iterable[int]:
        """Return ids for new rows of a table, ascending. No other transaction gets the same ids."""
        return self.operations.allocate_ids(self.core, table, count)

    def read_schema_objects(self, tables: Set[str]) -> dict[str, str]:
        """Return definitions by kind and name: on SQLite of all tables, indexes, triggers and views.

        On PostgreSQL, of the columns, triggers, rules, policies, constraints and unique indexes of these tables, and of
        the database's event triggers, with digests as definitions. It also returns which tables have row security or
        are unlogged, and what calls functions that are not the server's own.
        """
        return self.operations.read_schema_objects(self.core, tables)

    def write_csv(self, statement: Select[Any], write: Callable[[bytes], object], *, delimiter: str) -> None:
        """Write the rows of a statement as CSV (RFC 4180), in chunks. NULL is an empty cell.

        Errors of `write` are raised unchanged.
        """
        self.operations.write_csv(self.core, statement, write, delimiter)


class Database:
    """The connection pool of one process. Use it through `read_transaction()` and `write_transaction()` only."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keyring = Keyring(settings)
        self._watchdog: ConnectionWatchdog | None = None
        self._operations: SQLiteOperations | PostgreSQLOperations
        if settings.is_sqlite:
            self.engine, self._operations = sqlite_engine(settings), SQLiteOperations()
        else:
            self.engine, self._watchdog = postgresql_engine(settings)
            self._operations = PostgreSQLOperations()
        self._write_engine = self.engine.execution_options(writes=True)

    @contextmanager
    def read_transaction(self, request_id: str = "") -> Iterator[Session]:
        """Open a read-only transaction. All its statements see the same snapshot."""
        with self._session(self.engine, request_id, writes=False) as session:
            yield session

    @contextmanager
    def write_transaction(self, request_id: str = "") -> Iterator[Session]:
        """Open a write transaction, and commit it when the block ends.

        An error rolls it back, except a DomainError with `is_audited`, whose audit event is committed.
        """
        with self._session(self._write_engine, request_id, writes=True) as session:
            try:
                yield session
            except DomainError as error:
                if error.is_audited:
                    session.commit()
                raise
            session.commit()

    @contextmanager
    def _session(self, engine: Engine, request_id: str, *, writes: bool) -> Iterator[Session]:
        with Session(engine) as session:
            session.settings = self.settings
            session.operations = self._operations
            session.keyring = self.keyring
            session.request_id = request_id
            session.writes = writes
            yield session

    def abort_connections(self) -> None:
        """Abort every running call to PostgreSQL, which then raises. Nothing to abort on SQLite."""
        if self._watchdog is not None:
            self._watchdog.abort_all()

    def close(self) -> None:
        self.engine.dispose()


def is_lock_timeout(error: DBAPIError) -> bool:
    """Return True if a locking statement timed out.

    That is lock_not_available, or query_canceled if it waited several times, each for less than the lock timeout.
    """
    return getattr(error.orig, "pgcode", None) in {"55P03", "57014"}

"""Transactions, and what a service can ask of one, on either engine."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Delete, Engine, Insert, Select, Table, Update
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
    """One transaction of one request. What a service keeps for as long as it lasts is in `info`."""

    settings: Settings
    operations: SQLiteOperations | PostgreSQLOperations
    keyring: Keyring
    request_id: str
    writes: bool
    """Whether this is a transaction that writes."""

    def execute_later(self, statement: Insert | Update | Delete, values: dict[str, Any]) -> None:
        """Queue a statement and send it together with the next one, or with COMMIT, to save a round trip. Errors
        surface there, not here."""
        self.operations.execute_later(self.connection(), statement, values)

    def set_statement_timeout(self, seconds: int) -> None:
        """Let each statement of this transaction take so long."""
        self.operations.set_statement_timeout(self.connection(), seconds)

    def disable_timeouts(self) -> None:
        """Let this transaction and its statements take what they take: an operator's, who watches."""
        self.operations.disable_timeouts(self.connection())

    def lock_keys(self, *keys: str) -> None:
        """Let no other transaction go on that locks one of these keys, until this one ends."""
        self.operations.lock_keys(self.connection(), *keys)

    def allocate_ids(self, table: Table, count: int) -> Iterable[int]:
        """Ids for rows to come, ascending, and no other transaction's."""
        return self.operations.allocate_ids(self.connection(), table, count)

    def write_csv(self, statement: Select[Any], write: Callable[[bytes], object]) -> None:
        """Write the rows of a statement as CSV (RFC 4180), whatever their number. NULL is an empty cell. Raises what
        `write` raises."""
        self.operations.write_csv(self.connection(), statement, write)


class Database:
    """The connections of one process. `read_transaction()` and `write_transaction()` are the only ways in."""

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
        """A read-only transaction: every statement in it sees the same snapshot."""
        with self._session(self.engine, request_id, writes=False) as session:
            yield session

    @contextmanager
    def write_transaction(self, request_id: str = "") -> Iterator[Session]:
        """A writing transaction, committed when the block ends; an error undoes it, but for a recorded refusal."""
        with self._session(self._write_engine, request_id, writes=True) as session:
            try:
                yield session
            except DomainError as refusal:
                if refusal.is_audited:
                    session.commit()
                raise
            session.commit()

    @contextmanager
    def _session(self, engine: Engine, request_id: str, *, writes: bool) -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session:
            session.settings = self.settings
            session.operations = self._operations
            session.keyring = self.keyring
            session.request_id = request_id
            session.writes = writes
            yield session

    def abort_connections(self) -> None:
        """Wait for no answer of PostgreSQL any longer: every call that is under way fails."""
        if self._watchdog is not None:
            self._watchdog.abort_all()

    def close(self) -> None:
        self.engine.dispose()


def is_lock_timeout(error: DBAPIError) -> bool:
    """Whether a locking statement waited for as long as it may: lock_not_available, or query_canceled where it waited
    for its place in the queue first and for the lock then, each for less than the lock's time-out."""
    return getattr(error.orig, "pgcode", None) in {"55P03", "57014"}

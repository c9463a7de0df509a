"""A PostgreSQL connection with fewer round trips and a timeout for every call.

BEGIN, queued statements and pings cost no round trip of their own. See
docs/decisions/0012-fewer-round-trips-per-transaction.md for the savings.
"""

import select
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from psycopg2 import Error, InternalError, OperationalError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as PostgreSQLConnection  # noqa: N812 - a class, whatever its name
from psycopg2.extensions import cursor as PostgreSQLCursor  # noqa: N812

from app.core.database.postgresql.call_timeout import CallDeadline, ConnectionWatchdog
from app.core.time.clock import monotonic_seconds

SKIP_PING_WITHIN_SECONDS = 1
"""Seconds after the last use in which an idle connection is assumed to be alive, unless it has data to read."""
IGNORED_NOTICE_PREFIXES = ("LOG:", "DEBUG:", "INFO:", "NOTICE:")
"""Notices that are not warnings. A notice in another language than English counts as a warning."""
PING_TIMEOUT_SECONDS = 2
"""Seconds that a server may take to reply to a ping."""


class CommitOutcomeUnknown(OperationalError):
    """A COMMIT was sent, but its result is unknown, or it is not replicated to the synchronous standby."""


class _TimedCursor(PostgreSQLCursor):
    """A cursor with a deadline for each call to the server."""

    connection: "BatchingConnection"

    def execute(self, *arguments: Any) -> None:
        with self.connection.call_timeout(), self.connection.confirm_prepared():
            super().execute(*arguments)

    def executemany(self, *arguments: Any) -> None:
        with self.connection.call_timeout():
            super().executemany(*arguments)

    def fetchmany(self, *arguments: Any, **options: Any) -> list[tuple[Any, ...]]:
        with self.connection.call_timeout():  # a server-side cursor fetches its rows from the server here
            return super().fetchmany(*arguments, **options)

    def fetchone(self) -> tuple[Any, ...] | None:
        with self.connection.call_timeout():
            return super().fetchone()

    def fetchall(self) -> list[tuple[Any, ...]]:
        with self.connection.call_timeout():
            return super().fetchall()

    def close(self) -> None:
        if self.name is None or self.connection.closed:
            super().close()
            return
        with self.connection.call_timeout():  # closes the cursor on the server
            super().close()

    def copy_expert(self, *arguments: Any, **options: Any) -> None:
        with self.connection.call_timeout():
            super().copy_expert(*arguments, **options)


class BatchingConnection(PostgreSQLConnection):
    """A connection that sends BEGIN with the first statement, and queued statements with the next one or with COMMIT.

    psycopg2 would send each on its own, so it runs in autocommit mode. `commit` and `rollback` read the transaction
    status from libpq.
    """

    def __init__(self, watchdog: ConnectionWatchdog, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.autocommit = True
        self.cursor_factory = _TimedCursor
        self._deadline = CallDeadline(self.fileno())
        watchdog.watch(self._deadline, self.get_backend_pid())
        self.call_timeout_seconds: float = PING_TIMEOUT_SECONDS
        self._begin_sql = ""
        self._queued_sql = ""
        self._is_begin_sent = False
        self._last_used_at = monotonic_seconds()
        self._calls: dict[str, str] = {}
        self._unconfirmed_calls: dict[str, str] = {}  # of statements that are queued or being prepared
        self._plans = 0
        self._is_direct: bool | None = None

    def call_timeout(self) -> AbstractContextManager[None]:
        """Limit the calls inside the block to `call_timeout_seconds`. After that the connection is closed."""
        return self._deadline.arm(self.call_timeout_seconds)

    def begin_with(self, begin_sql: str, *, call_timeout_seconds: float) -> None:
        """Queue the statements that begin a transaction, and set the timeout for each of its calls."""
        self._begin_sql, self._queued_sql, self._is_begin_sent = begin_sql, "", False
        self._unconfirmed_calls.clear()
        self.call_timeout_seconds = call_timeout_seconds

    def queue_statement(self, statement: str) -> None:
        """Queue a statement, to be sent in front of the next one."""
        self._queued_sql += statement

    def pop_queued(self) -> str:
        """Return the queued SQL and empty the queue. The caller must send it in front of its statement.

        Raises InternalError if BEGIN was lost with a statement that was never sent. Otherwise the next statement would
        run outside a transaction.
        """
        self._check_begun()
        self._is_begin_sent = True
        queued_sql = self._begin_sql + self._queued_sql
        self._begin_sql = self._queued_sql = ""
        return queued_sql

    def prepare(self, statement: str, names: Iterable[str]) -> str:
        """Return the SQL that executes the statement as a prepared statement. The first time, it also prepares it.

        Behind a connection pooler the statement is returned unchanged: each transaction may get another backend.
        """
        if not self._is_unpooled():
            return statement
        if (call := self._calls.get(statement) or self._unconfirmed_calls.get(statement)) is not None:
            return call
        return self._create_plan(statement, sorted(names))

    @contextmanager
    def confirm_prepared(self) -> Iterator[None]:
        """Note that the statements prepared in the block exist. If it fails, the server may not have prepared them."""
        try:
            yield
            self._calls |= self._unconfirmed_calls
        finally:
            self._unconfirmed_calls.clear()

    def commit(self) -> None:
        """Send the queued statements and COMMIT in one round trip. After an error of the database nothing is stored.

        Raises CommitOutcomeUnknown if the connection was lost or the server sent a warning. It warns if the wait for
        the synchronous standby was canceled, so that the transaction is committed on this server only.
        """
        if not self._queued_sql and self._is_idle():
            self._check_begun()
            self._begin_sql = ""
            return
        self.notices.clear()
        try:
            with self.cursor() as cursor:
                cursor.execute(f"{self.pop_queued()}COMMIT")
                if cursor.statusmessage != "COMMIT":  # an earlier error, which was caught, aborted the transaction
                    raise InternalError("The transaction was aborted, so there was nothing to commit.")
        except Error as error:
            with suppress(Error):  # SQLAlchemy considers the transaction ended, so the pool would get its locks
                self.rollback()
            if self.closed:
                raise CommitOutcomeUnknown(*error.args) from error
            raise
        warnings = [notice for notice in self.notices if not notice.startswith(IGNORED_NOTICE_PREFIXES)]
        if warnings:
            raise CommitOutcomeUnknown(warnings[-1].strip())

    def rollback(self) -> None:
        self._begin_sql, self._queued_sql, self._is_begin_sent = "", "", False
        self._unconfirmed_calls.clear()
        if not self.closed and not self._is_idle():  # the server rolls back the transaction of a lost connection
            with self.cursor() as cursor:
                cursor.execute("ROLLBACK")

    def mark_idle(self) -> None:
        """Note the time at which the connection returns to the pool."""
        self._last_used_at = monotonic_seconds()

    def is_alive(self) -> bool:
        """Return True if the connection still works.

        It is pinged only after SKIP_PING_WITHIN_SECONDS or if data has arrived. A server that shuts down or crashes
        closes the connection, which is visible without a round trip.
        """
        if monotonic_seconds() - self._last_used_at < SKIP_PING_WITHIN_SECONDS and not self._has_unread_data():
            return True
        self.call_timeout_seconds = PING_TIMEOUT_SECONDS
        try:
            with self.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error:
            return False
        return True

    def _create_plan(self, statement: str, names: list[str]) -> str:
        """Return the SQL that prepares the statement and executes it. The name is new each time."""
        self._plans += 1
        text = statement % {name: f"${number}" for number, name in enumerate(names, 1)}
        call = f"EXECUTE plan_{self._plans}" + (f" ({', '.join(f'%({name})s' for name in names)})" if names else "")
        self._unconfirmed_calls[statement] = call
        return f"PREPARE plan_{self._plans} AS {text.replace('%', '%%')}; {call}"

    def _is_unpooled(self) -> bool:
        """Return True if there is no pooler in between: a pooler's clients get a process id that no backend has."""
        if self._is_direct is None:
            with self.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._is_direct = cursor.fetchone() == (self.get_backend_pid(),)
        return self._is_direct

    def _has_unread_data(self) -> bool:
        if self.closed:
            return True
        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        return bool(poller.poll(0))

    def _check_begun(self) -> None:
        if self._is_begin_sent and self._is_idle():
            raise InternalError("The transaction never began because its first statement was not sent.")

    def _is_idle(self) -> bool:
        return self.get_transaction_status() == TRANSACTION_STATUS_IDLE

"""A PostgreSQL connection that spends no round trip on opening and ending a transaction, nor on being alive, and that
waits for nothing without an end. What each way to do so saves is measured in
docs/decisions/0012-fewer-round-trips-per-transaction.md."""

import select
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from typing import Any

from psycopg2 import Error, InternalError, OperationalError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as PostgreSQLConnection  # noqa: N812 - a class, whatever its name
from psycopg2.extensions import cursor as PostgreSQLCursor  # noqa: N812

from app.core.database.postgresql.call_timeout import CallDeadline, ConnectionWatchdog
from app.core.time.clock import monotonic_seconds

SKIP_PING_WITHIN_SECONDS = 1
"""How long a connection that is silent counts as alive. What the server ends, it says at once."""
IGNORED_NOTICE_PREFIXES = ("LOG:", "DEBUG:", "INFO:", "NOTICE:")
"""What `client_min_messages` may let through. (A server that says it in another language is thought to warn.)"""
PING_TIMEOUT_SECONDS = 2
"""How long a server may take to say that it is alive."""


class CommitOutcomeUnknown(OperationalError):
    """A COMMIT was sent, and nobody knows what became of it, or whether it will last."""


class _TimedCursor(PostgreSQLCursor):
    """A cursor whose every question to the server has a deadline."""

    connection: "BatchingConnection"

    def execute(self, *arguments: Any) -> None:
        with self.connection.call_timeout():
            super().execute(*arguments)

    def executemany(self, *arguments: Any) -> None:
        with self.connection.call_timeout():
            super().executemany(*arguments)

    def fetchmany(self, *arguments: Any, **options: Any) -> list[tuple[Any, ...]]:
        with self.connection.call_timeout():  # a server-side cursor asks for its rows here
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
        with self.connection.call_timeout():  # the server is told to close its own
            super().close()

    def copy_expert(self, *arguments: Any, **options: Any) -> None:
        with self.connection.call_timeout():
            super().copy_expert(*arguments, **options)


class BatchingConnection(PostgreSQLConnection):
    """Its BEGIN travels with the first statement, and what waits with the COMMIT (psycopg2 sends each by itself).

    So psycopg2 is told that there are no transactions, and `commit` and `rollback` ask libpq whether there is one.
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
        self._is_direct: bool | None = None

    def call_timeout(self) -> AbstractContextManager[None]:
        """Ask the server: it has `call_timeout_seconds` to answer, then it is lost (see call_timeout.py)."""
        return self._deadline.arm(self.call_timeout_seconds)

    def begin_with(self, begin_sql: str, *, call_timeout_seconds: float) -> None:
        """Begin a transaction with these statements, in front of whatever comes first; no answer takes longer."""
        self._begin_sql, self._queued_sql, self._is_begin_sent = begin_sql, "", False
        self.call_timeout_seconds = call_timeout_seconds

    def queue_statement(self, statement: str) -> None:
        """Send the statement in front of whatever comes next."""
        self._queued_sql += statement

    def pop_queued(self) -> str:
        """All that goes in front of the next statement, which must be sent now.

        Raises InternalError where the opening was lost with a statement that never left: nothing is done outside of a
        transaction.
        """
        self._check_begun()
        self._is_begin_sent = True
        queued_sql = self._begin_sql + self._queued_sql
        self._begin_sql = self._queued_sql = ""
        return queued_sql

    def prepare(self, statement: str, names: Iterable[str]) -> str:
        """The statement, with these named parameters, as a call of its plan: made at the first time, and then kept.

        Behind a pooler, which gives each transaction another server process, it stays as it is.
        """
        if statement not in self._calls:
            self._calls[statement] = self._create_plan(statement, sorted(names)) if self._is_unpooled() else statement
        return self._calls[statement]

    def commit(self) -> None:
        """Commit what was sent and what waits. Raises what the database says against it: then nothing is kept.

        Raises CommitOutcomeUnknown where no answer came, or one with a warning: it is committed here, but not on the
        standby that it was waiting for, because somebody ended the wait.
        """
        if not self._queued_sql and self._is_idle():
            self._check_begun()
            self._begin_sql = ""
            return
        self.notices.clear()
        try:
            with self.cursor() as cursor:
                cursor.execute(f"{self.pop_queued()}COMMIT")
                if cursor.statusmessage != "COMMIT":  # an error before, that somebody caught, had undone it all
                    raise InternalError("The transaction was aborted, so there was nothing to commit.")
        except Error as error:
            with suppress(Error):
                self.rollback()  # else the locks go to the pool: SQLAlchemy counts the transaction as ended
            if self.closed:
                raise CommitOutcomeUnknown(*error.args) from error
            raise
        warnings = [notice for notice in self.notices if not notice.startswith(IGNORED_NOTICE_PREFIXES)]
        if warnings:
            raise CommitOutcomeUnknown(warnings[-1].strip())

    def rollback(self) -> None:
        self._begin_sql, self._queued_sql, self._is_begin_sent = "", "", False
        if not self.closed and not self._is_idle():  # what was on a lost connection is undone
            with self.cursor() as cursor:
                cursor.execute("ROLLBACK")

    def mark_idle(self) -> None:
        """Say that nobody uses it from now on."""
        self._last_used_at = monotonic_seconds()

    def is_alive(self) -> bool:
        """Whether the server still answers. It is asked only after a while, or when it has said something meanwhile:
        one that is shut down, or killed, closes the connection, and that can be seen without asking."""
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
        statement_name = f"plan_{len(self._calls)}"
        with self.cursor() as cursor:
            text = statement % {name: f"${number}" for number, name in enumerate(names, 1)}
            cursor.execute(f"PREPARE {statement_name} AS {text}")
        return f"EXECUTE {statement_name}" + (f" ({', '.join(f'%({name})s' for name in names)})" if names else "")

    def _is_unpooled(self) -> bool:
        """Whether this is a server process's own connection. A pooler says a number that is no process's of its."""
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
            raise InternalError("The transaction never began: its first statement was not sent.")

    def _is_idle(self) -> bool:
        return self.get_transaction_status() == TRANSACTION_STATUS_IDLE

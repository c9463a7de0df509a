"""A PostgreSQL connection that spends no round trip on opening and ending a transaction, nor on being alive."""

import select
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from psycopg2 import Error, InternalError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as PostgreSQLConnection  # noqa: N812 - a class, whatever its name

from app.core.clock import monotonic_seconds

TRUSTED_IDLE_SECONDS = 1
"""How long a connection that is silent counts as alive. What the server ends, it says at once."""


class FewTripsConnection(PostgreSQLConnection):
    """Its BEGIN travels with the first statement, and what waits with the COMMIT (psycopg2 sends each by itself).

    So psycopg2 is told that there are no transactions, and `commit` and `rollback` ask libpq whether there is one.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.autocommit = True
        self._opening = ""
        self._waiting = ""
        self._is_open = False
        self._used_at = monotonic_seconds()
        self._calls: dict[str, str] = {}
        self._is_direct: bool | None = None

    def open_with(self, opening: str) -> None:
        """Begin a transaction with these statements, in front of whatever comes first."""
        self._opening, self._waiting, self._is_open = opening, "", False

    def add_waiting(self, statement: str) -> None:
        """Send the statement in front of whatever comes next."""
        self._waiting += statement

    def take_waiting(self) -> str:
        """All that goes in front of the next statement, which must be sent now.

        Raises InternalError where the opening was lost with a statement that never left: nothing is done outside of a
        transaction.
        """
        self._check_begun()
        self._is_open = True
        taken = self._opening + self._waiting
        self._opening = self._waiting = ""
        return taken

    def planned(self, statement: str, names: Iterable[str]) -> str:
        """The statement, with these named parameters, as a call of its plan: made at the first time, and then kept.

        Behind a pooler, which gives each transaction another server process, it stays as it is.
        """
        if statement not in self._calls:
            self._calls[statement] = self._prepare(statement, sorted(names)) if self._reaches_server() else statement
        return self._calls[statement]

    def commit(self) -> None:
        """Commit what was sent and what waits. Raises what the database says against it; then nothing is kept."""
        if not self._waiting and self._is_idle():
            self._check_begun()
            self._opening = ""
            return
        try:
            with self.cursor() as cursor:
                cursor.execute(f"{self.take_waiting()}COMMIT")
                if cursor.statusmessage != "COMMIT":  # an error before, that somebody caught, had undone it all
                    raise InternalError("The transaction was aborted, so there was nothing to commit.")
        except Error:
            with suppress(Error):
                self.rollback()  # else the locks go to the pool: SQLAlchemy counts the transaction as ended
            raise

    def rollback(self) -> None:
        self._opening, self._waiting, self._is_open = "", "", False
        if not self._is_idle():
            with self.cursor() as cursor:
                cursor.execute("ROLLBACK")

    def rest(self) -> None:
        """Say that nobody uses it from now on."""
        self._used_at = monotonic_seconds()

    def is_alive(self) -> bool:
        """Whether the server still answers. It is asked only after a while, or when it has said something meanwhile:
        one that is shut down, or killed, closes the connection, and that can be seen without asking."""
        if monotonic_seconds() - self._used_at < TRUSTED_IDLE_SECONDS and not self._has_news():
            return True
        try:
            with self.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error:
            return False
        return True

    def _prepare(self, statement: str, names: list[str]) -> str:
        plan = f"plan_{len(self._calls)}"
        with self.cursor() as cursor:
            text = statement % {name: f"${number}" for number, name in enumerate(names, 1)}
            cursor.execute(f"PREPARE {plan} AS {text}")
        return f"EXECUTE {plan}" + (f" ({', '.join(f'%({name})s' for name in names)})" if names else "")

    def _reaches_server(self) -> bool:
        """Whether this is a server process's own connection. A pooler says a number that is no process's of its."""
        if self._is_direct is None:
            with self.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._is_direct = cursor.fetchone() == (self.get_backend_pid(),)
        return self._is_direct

    def _has_news(self) -> bool:
        if self.closed:
            return True
        watch = select.poll()
        watch.register(self.fileno(), select.POLLIN)
        return bool(watch.poll(0))

    def _check_begun(self) -> None:
        if self._is_open and self._is_idle():
            raise InternalError("The transaction never began: its first statement was not sent.")

    def _is_idle(self) -> bool:
        return self.get_transaction_status() == TRANSACTION_STATUS_IDLE

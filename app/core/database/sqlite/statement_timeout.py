"""A timeout for each call to SQLite, which has none of its own: statements, and the reading of their rows."""

import math
import sqlite3
from collections.abc import Callable
from typing import Any

from app.core.text import fold
from app.core.time.clock import monotonic_seconds

_STEPS = 500_000
"""Steps of SQLite's virtual machine between two looks at the clock: about 20 ms."""


class _TimedCursor(sqlite3.Cursor):
    """A cursor whose calls are interrupted after the timeout of the connection."""

    connection: "TimedConnection"

    def execute(self, *arguments: Any) -> "_TimedCursor":
        self.connection.call(super().execute, *arguments)
        return self

    def executemany(self, *arguments: Any) -> "_TimedCursor":
        self.connection.call(super().executemany, *arguments)
        return self

    def fetchone(self) -> Any:
        return self.connection.call(super().fetchone)

    def fetchmany(self, *arguments: Any) -> Any:
        return self.connection.call(super().fetchmany, *arguments)

    def fetchall(self) -> Any:
        return self.connection.call(super().fetchall)


class TimedConnection(sqlite3.Connection):
    """A connection that interrupts each call after `timeout_seconds`. COMMIT is never interrupted."""

    timeout_seconds = math.inf
    _deadline = math.inf

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.set_progress_handler(self._is_timed_out, _STEPS)
        self.create_function(fold.__name__, 1, self._fold, deterministic=True)

    def cursor(self, *_arguments: Any) -> Any:
        return super().cursor(_TimedCursor)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function, and interrupt SQLite in it after the timeout."""
        self._deadline = monotonic_seconds() + self.timeout_seconds
        try:
            return function(*arguments)
        finally:
            self._deadline = math.inf

    def _is_timed_out(self) -> bool:
        return monotonic_seconds() > self._deadline

    def _fold(self, text: str) -> str:
        if self._is_timed_out():  # a search is few steps for each row, but folding may take milliseconds
            self.interrupt()
        return fold(text)

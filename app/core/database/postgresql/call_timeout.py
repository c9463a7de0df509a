"""An end for every wait on PostgreSQL: psycopg2 waits for an answer as long as it takes, even for ever.

The server ends its statements itself, by their time-outs. Here is what it can't end: a server that is frozen or cut
off, and a COMMIT that waits for a synchronous standby, which no time-out of the server's bounds. Cancelling is no way
out: libpq's cancel waits too, and psycopg2 holds the interpreter's lock meanwhile. So the socket is shut.
"""

import math
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from app.core.time.clock import monotonic_seconds

LOOK_EVERY_SECONDS = 0.25


class Deadline:
    """When the answer to what one connection is being asked must be there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._inode = descriptor, os.fstat(descriptor).st_ino
        self._lock = threading.Lock()
        self._at: float | None = None

    @contextmanager
    def in_seconds(self, seconds: float) -> Iterator[None]:
        """Ask the server, for at most so long. Calls don't nest."""
        with self._lock:
            self._at = monotonic_seconds() + seconds
        try:
            yield
        finally:
            with self._lock:
                self._at = None

    def end_if_past(self, *, now: float) -> bool:
        """Shut the socket of a call that is overdue: libpq takes it for a connection that the server closed."""
        with self._lock:
            if self._at is None or now < self._at:
                return False
            self._at = None
        with suppress(OSError):
            self._shut()
        return True

    def _shut(self) -> None:
        """libpq may have closed the socket by itself a moment ago, and another may have its number by now."""
        duplicate = os.dup(self._descriptor)
        if os.fstat(duplicate).st_ino != self._inode:
            os.close(duplicate)
            return
        with socket.socket(fileno=duplicate) as shared:
            shared.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """Looks at the deadlines of an engine's connections from a thread of its own, and says what it ended.

    `on_ended` gets the process ids of the server's sessions, in a thread that may wait.
    """

    def __init__(self, on_ended: Callable[[list[int]], None]) -> None:
        self._on_ended = on_ended
        self._watched: weakref.WeakKeyDictionary[Deadline, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, deadline: Deadline, session_id: int) -> None:
        """Watch over a connection, whose session at the server has this id, for as long as it lives."""
        with self._lock:
            self._watched[deadline] = session_id
            if self._thread is None:
                self._is_over.clear()
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def end_all(self) -> None:
        """Let nobody wait for an answer any longer."""
        self._end_overdue(now=math.inf)

    def end(self) -> None:
        """Stop watching, until the next connection."""
        with self._lock:
            thread, self._thread = self._thread, None
        self._is_over.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(LOOK_EVERY_SECONDS):
            if ended := self._end_overdue(now=monotonic_seconds()):
                structlog.get_logger().warning("database_call_timeout", sessions=ended)
                threading.Thread(target=self._on_ended, args=(ended,), daemon=True).start()

    def _end_overdue(self, *, now: float) -> list[int]:
        with self._lock:
            watched = list(self._watched.items())
        return [session_id for deadline, session_id in watched if deadline.end_if_past(now=now)]

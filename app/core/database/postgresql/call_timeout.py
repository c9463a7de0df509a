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

POLL_INTERVAL_SECONDS = 0.25


class CallDeadline:
    """When the answer to what one connection is being asked must be there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._inode = descriptor, os.fstat(descriptor).st_ino
        self._lock = threading.Lock()
        self._expires_at: float | None = None

    @contextmanager
    def arm(self, seconds: float) -> Iterator[None]:
        """Ask the server, for at most so long. Calls don't nest."""
        with self._lock:
            self._expires_at = monotonic_seconds() + seconds
        try:
            yield
        finally:
            with self._lock:
                self._expires_at = None

    def shutdown_if_expired(self, *, now: float) -> bool:
        """Shut the socket of a call that is overdue: libpq takes it for a connection that the server closed."""
        with self._lock:
            if self._expires_at is None or now < self._expires_at:
                return False
            self._expires_at = None
        with suppress(OSError):
            self._shutdown_socket()
        return True

    def _shutdown_socket(self) -> None:
        """libpq may have closed the socket by itself a moment ago, and another may have its number by now."""
        duplicate = os.dup(self._descriptor)
        if os.fstat(duplicate).st_ino != self._inode:
            os.close(duplicate)
            return
        with socket.socket(fileno=duplicate) as shared:
            shared.shutdown(socket.SHUT_RDWR)


class ConnectionWatchdog:
    """Looks at the deadlines of an engine's connections from a thread of its own, and says what it ended.

    `on_abort` gets the process ids of the server's sessions, in a thread that may wait.
    """

    def __init__(self, on_abort: Callable[[list[int]], None]) -> None:
        self._on_abort = on_abort
        self._deadlines: weakref.WeakKeyDictionary[CallDeadline, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, deadline: CallDeadline, backend_pid: int) -> None:
        """Watch over a connection, whose session at the server has this id, for as long as it lives."""
        with self._lock:
            self._deadlines[deadline] = backend_pid
            if self._thread is None:
                self._is_stopped.clear()
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def abort_all(self) -> None:
        """Let nobody wait for an answer any longer."""
        self._abort_expired(now=math.inf)

    def stop(self) -> None:
        """Stop watching, until the next connection."""
        with self._lock:
            thread, self._thread = self._thread, None
        self._is_stopped.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._is_stopped.wait(POLL_INTERVAL_SECONDS):
            if backend_pids := self._abort_expired(now=monotonic_seconds()):
                structlog.get_logger().warning("database_call_timeout", sessions=backend_pids)
                threading.Thread(target=self._on_abort, args=(backend_pids,), daemon=True).start()

    def _abort_expired(self, *, now: float) -> list[int]:
        with self._lock:
            deadlines = list(self._deadlines.items())
        return [backend_pid for deadline, backend_pid in deadlines if deadline.shutdown_if_expired(now=now)]

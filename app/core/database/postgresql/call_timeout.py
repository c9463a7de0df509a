"""Client-side timeouts for calls to PostgreSQL. psycopg2 waits for a result without limit.

The server's own timeouts end most statements. They do not cover a server that is frozen or unreachable, nor a COMMIT
that waits for a synchronous standby. Cancelling does not help: libpq's cancel blocks too, while psycopg2 holds the GIL.
So the socket is shut down instead.
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
    """Deadline for the running call on one connection."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._inode = descriptor, os.fstat(descriptor).st_ino
        self._lock = threading.Lock()
        self._expires_at: float | None = None

    @contextmanager
    def arm(self, seconds: float) -> Iterator[None]:
        """Limit the calls inside the block to this many seconds. Blocks must not be nested."""
        with self._lock:
            self._expires_at = monotonic_seconds() + seconds
        try:
            yield
        finally:
            with self._lock:
                self._expires_at = None

    def shutdown_if_expired(self, *, now: float) -> bool:
        """Shut the socket down if the call is overdue, and return True then.

        libpq reports the connection as closed by the server.
        """
        with self._lock:
            if self._expires_at is None or now < self._expires_at:
                return False
            self._expires_at = None
        with suppress(OSError):
            self._shutdown_socket()
        return True

    def _shutdown_socket(self) -> None:
        # libpq may have closed the socket in the meantime, and another file may have its descriptor now.
        duplicate = os.dup(self._descriptor)
        if os.fstat(duplicate).st_ino != self._inode:
            os.close(duplicate)
            return
        with socket.socket(fileno=duplicate) as shared:
            shared.shutdown(socket.SHUT_RDWR)


class ConnectionWatchdog:
    """Thread that checks the call deadlines of an engine's connections and aborts overdue calls.

    `on_abort` receives the process ids of the server's backends. It runs in its own thread, so it may block.
    """

    def __init__(self, on_abort: Callable[[list[int]], None]) -> None:
        self._on_abort = on_abort
        self._deadlines: weakref.WeakKeyDictionary[CallDeadline, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, deadline: CallDeadline, backend_pid: int) -> None:
        """Check the deadline of a connection until the connection is garbage collected."""
        with self._lock:
            self._deadlines[deadline] = backend_pid
            if self._thread is None:
                self._is_stopped.clear()
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def abort_all(self) -> None:
        """Abort every running call."""
        self._abort_expired(now=math.inf)

    def stop(self) -> None:
        """Stop the thread. The next call of `watch` starts it again."""
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

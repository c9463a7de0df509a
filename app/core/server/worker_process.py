"""A worker process that the parent process checks without waiting for it."""

from uvicorn.supervisors import multiprocess

from app.core.time.clock import monotonic_seconds

REPLY_SECONDS = 5
"""A worker that has served and doesn't reply for so long is killed and replaced."""


class WorkerProcess(multiprocess.Process):
    """uvicorn's worker process, with a health check that never blocks.

    uvicorn asks one worker after the other and waits up to `timeout_worker_healthcheck` for each reply. A stopped
    worker then hides the death of all others. Here each check sends a ping and reads the replies that are there.
    """

    _has_started = False
    _pinged_at: float | None = None
    """Instant of the oldest ping without a reply. If the parent process was suspended, it finds the replies later."""

    def is_alive(self, timeout: float = 5) -> bool:
        """Return False for a worker that has exited, or that has left a ping without a reply for too long.

        Too long is REPLY_SECONDS, or `timeout` seconds while the worker is starting.
        """
        if not self.process.is_alive():
            return False
        try:
            while self.parent_conn.poll():
                self._has_started |= self.parent_conn.recv()
                self._pinged_at = None
            if self._pinged_at is None:
                self.parent_conn.send(b"ping")
                self._pinged_at = monotonic_seconds()
        except (OSError, EOFError):
            return False
        return monotonic_seconds() - self._pinged_at < (REPLY_SECONDS if self._has_started else timeout)


def install() -> None:
    """Let uvicorn start its workers as WorkerProcess. It has no setting for the class."""
    multiprocess.Process = WorkerProcess  # type: ignore[misc]

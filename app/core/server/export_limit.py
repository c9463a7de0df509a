"""Limit of two concurrent exports per user and worker process. Each is a file on disk until its client has read it."""

from threading import Lock

from app.core.errors import RateLimited, RateLimitPolicy

MAX_CONCURRENT_EXPORTS = 2
RETRY_AFTER_SECONDS = 5
_POLICY = RateLimitPolicy("exports", MAX_CONCURRENT_EXPORTS, 60)


class TooManyExports(RateLimited):
    code = "too_many_exports"
    title = "Too many concurrent exports"


class ExportLimiter:
    """Counts the running exports of each user in this worker process.

    `acquire` runs in the thread of a transaction, because an API token's user is known only there. `release` runs in
    the event loop.
    """

    def __init__(self) -> None:
        self._users: dict[object, int] = {}
        self._lock = Lock()

    def acquire(self, export: object, user_id: int) -> None:
        """Count an export of the user. A retry of its transaction does not count again. Raises TooManyExports."""
        with self._lock:
            others = [user for each, user in self._users.items() if each is not export]
            if others.count(user_id) >= MAX_CONCURRENT_EXPORTS:
                raise TooManyExports(
                    f"You already have {MAX_CONCURRENT_EXPORTS} running exports. Try again after one has finished.",
                    policy=_POLICY,
                    retry_after_seconds=RETRY_AFTER_SECONDS,
                )
            self._users[export] = user_id

    def release(self, export: object) -> None:
        """Stop counting the export. An export that is not counted is ignored."""
        with self._lock:
            self._users.pop(export, None)

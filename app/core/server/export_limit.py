"""Two exports at a time per user and worker process: each is a file on the disk until its client has read it all."""

from threading import Lock

from app.core.errors import RateLimited, RateLimitPolicy

MAX_CONCURRENT_EXPORTS = 2
RETRY_AFTER_SECONDS = 5
_POLICY = RateLimitPolicy("exports", MAX_CONCURRENT_EXPORTS, 60)


class TooManyExports(RateLimited):
    code = "too_many_exports"
    title = "Too many concurrent exports"


class ExportLimiter:
    """The exports under way in this worker process, each with its user.

    A transaction takes in its thread, since an API token proves its user only there; the event loop releases.
    """

    def __init__(self) -> None:
        self._users: dict[object, int] = {}
        self._lock = Lock()

    def acquire(self, export: object, user_id: int) -> None:
        """Count an export of the user's, once, however often its transaction is retried. Raises TooManyExports."""
        with self._lock:
            others = [user for each, user in self._users.items() if each is not export]
            if others.count(user_id) >= MAX_CONCURRENT_EXPORTS:
                raise TooManyExports(
                    f"You have {MAX_CONCURRENT_EXPORTS} exports going. Wait until one is through.",
                    policy=_POLICY,
                    retry_after_seconds=RETRY_AFTER_SECONDS,
                )
            self._users[export] = user_id

    def release(self, export: object) -> None:
        """Count the export no longer, if it is counted."""
        with self._lock:
            self._users.pop(export, None)

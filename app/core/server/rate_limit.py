"""Rate limits: a burst of the quota, then a constant refill. Requests count per credential, written bytes per user."""

import math
from collections import OrderedDict

from app.core.errors import RateLimited, RateLimitPolicy

WINDOW_SECONDS = 60
HOUR_SECONDS = 3600
MIB = 1024 * 1024
MAX_KEYS = 10_000
_SECOND = 1_000_000_000  # in nanoseconds, as integers because sums of fractions drift


class TooManyRequests(RateLimited):
    code = "too_many_requests"
    title = "Too many requests"


class TooManyChanges(RateLimited):
    code = "too_many_changes"
    title = "Too many changes"


class RateLimiter:
    """A token bucket for each key, in the memory of one worker process. Not thread-safe: use it in the event loop only.

    A bucket is stored as the time at which it will be full again (GCRA). Each request adds the refill time of one
    token. If there are more than MAX_KEYS buckets, the least recently used one is dropped and counts as full.
    """

    def __init__(self, per_minute: int, *, max_keys: int = MAX_KEYS) -> None:
        self.policy = RateLimitPolicy("requests", per_minute, WINDOW_SECONDS)
        self._cost = WINDOW_SECONDS * _SECOND // per_minute
        self._max_keys = max_keys
        self._full_at: OrderedDict[str, int] = OrderedDict()

    def acquire(self, key: str, *, at: float) -> None:
        """Count one request of the key at this monotonic second. Raises TooManyRequests and then does not count it."""
        self._take(key, 1, at=at)

    def acquire_operations(self, key: str, count: int, *, at: float) -> None:
        """Count a request of several operations, which `acquire` counted as one, as `count` requests.

        It counts as the quota at most, so that every request is accepted after a minute. Raises TooManyRequests.
        """
        self._take(key, max(min(count, self.policy.quota), 1) - 1, retry_tokens=1, at=at)

    def _take(self, key: str, tokens: int, *, retry_tokens: int = 0, at: float) -> None:
        """Take the tokens, or raise TooManyRequests. A retry needs `retry_tokens` more."""
        now, cost = int(at * _SECOND), tokens * self._cost
        full_at = max(self._full_at.get(key, now), now)
        deficit = full_at + cost - now - WINDOW_SECONDS * _SECOND
        is_rejected = deficit > 0
        self._full_at[key] = full_at if is_rejected else full_at + cost
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)
        if is_rejected:
            seconds = -(-(deficit + retry_tokens * self._cost) // _SECOND)
            raise TooManyRequests(
                f"You may make {self.policy.quota} requests a minute. Try again in {seconds} s.",
                policy=self.policy,
                retry_after_seconds=seconds,
            )


class WriteLimiter:
    """A token bucket for each user, in bytes of the audit events that the user causes.

    Events are never deleted, so without this limit one user could fill the disk. The size of an event is known only
    after it is written. So a write may overdraw the bucket, by one quota at most, and the next one is rejected.
    """

    def __init__(self, mib_per_hour: int, *, max_keys: int = MAX_KEYS) -> None:
        self.policy = RateLimitPolicy("written-bytes", mib_per_hour * MIB, HOUR_SECONDS)
        self._max_keys = max_keys
        self._full_at: OrderedDict[int, float] = OrderedDict()

    def check(self, user_id: int, *, at: float) -> None:
        """Raise TooManyChanges if the user's bucket is overdrawn at this monotonic second."""
        wait = self._full_at.get(user_id, at) - at - HOUR_SECONDS
        if wait > 0:
            seconds = math.ceil(wait)
            raise TooManyChanges(
                f"Your changes of the last hour have filled {self.policy.quota // MIB} MiB of the audit log. "
                f"Try again in {seconds} s.",
                policy=self.policy,
                retry_after_seconds=seconds,
            )

    def charge(self, user_id: int, written_bytes: int, *, at: float) -> None:
        """Take the bytes of the user's new events out of the bucket."""
        full_at = max(self._full_at.pop(user_id, at), at) + HOUR_SECONDS * written_bytes / self.policy.quota
        self._full_at[user_id] = min(full_at, at + 2 * HOUR_SECONDS)
        if len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)

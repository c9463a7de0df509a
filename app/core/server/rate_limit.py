"""Rate limit per credential: a burst of one minute's quota, then a constant refill."""

from collections import OrderedDict

from app.core.errors import RateLimited, RateLimitPolicy

WINDOW_SECONDS = 60
MAX_KEYS = 10_000
_SECOND = 1_000_000_000  # in nanoseconds, as integers because sums of fractions drift


class TooManyRequests(RateLimited):
    code = "too_many_requests"
    title = "Too many requests"


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

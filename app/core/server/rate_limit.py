"""Rate limits of a user: a burst of the quota, then a constant refill. They count requests, and written bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from app.core.errors import RateLimited, RateLimitPolicy

MINUTE_SECONDS, HOUR_SECONDS = 60, 3600
MIB = 1024 * 1024
MAX_KEYS = 10_000
_SECOND = 1_000_000_000  # in nanoseconds, as integers because sums of fractions drift


class TooManyRequests(RateLimited):
    code = "too_many_requests"
    title = "Too many requests"


class TooManyChanges(RateLimited):
    code = "too_many_changes"
    title = "Too many changes"


class RemainingQuota(NamedTuple):
    """The requests that a credential may make now, and the seconds until it may make one more than that."""

    requests: int
    seconds: int


class _TokenBuckets:
    """A token bucket for each key, in the memory of one worker process. Only the event loop may change it.

    A bucket is stored as the time at which it will be full again (GCRA). If there are more than `max_keys` buckets, the
    least recently used one is dropped and counts as full.
    """

    def __init__(self, policy: RateLimitPolicy, max_keys: int) -> None:
        self.policy = policy
        self._window = policy.window_seconds * _SECOND
        self._cost = self._window // policy.quota
        self._max_keys = max_keys
        self._full_at: OrderedDict[Hashable, int] = OrderedDict()

    def _find_full_at(self, key: Hashable, now: int) -> int:
        return max(self._full_at.get(key, now), now)

    def _store(self, key: Hashable, full_at: int) -> None:
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)


class RateLimiter(_TokenBuckets):
    """A quota of requests for each key, which is a user or a network. Each request takes one token."""

    def __init__(self, per_minute: int, *, max_keys: int = MAX_KEYS) -> None:
        super().__init__(RateLimitPolicy("requests", per_minute, MINUTE_SECONDS), max_keys)

    def acquire(self, key: Hashable, *, at: float) -> RemainingQuota:
        """Count one request of the key at this monotonic second. Raises TooManyRequests and then does not count it."""
        return self._take(key, 1, at=at)

    def acquire_operations(self, key: Hashable, count: int, *, at: float) -> RemainingQuota:
        """Count a request of several operations, which `acquire` counted as one, as `count` requests.

        It counts as the quota at most, so that every request is accepted after a minute. Raises TooManyRequests.
        """
        return self._take(key, max(min(count, self.policy.quota), 1) - 1, retry_tokens=1, at=at)

    def _take(self, key: Hashable, tokens: int, *, retry_tokens: int = 0, at: float) -> RemainingQuota:
        """Take the tokens, or raise TooManyRequests. A retry needs `retry_tokens` more."""
        now, cost = int(at * _SECOND), tokens * self._cost
        full_at = self._find_full_at(key, now)
        deficit = full_at + cost - now - self._window
        self._store(key, full_at if deficit > 0 else full_at + cost)
        if deficit > 0:
            seconds = -(-(deficit + retry_tokens * self._cost) // _SECOND)
            raise TooManyRequests(
                f"You may make {self.policy.quota} requests a minute. Try again in {seconds} s.",
                policy=self.policy,
                retry_after_seconds=seconds,
            )
        requests, part = divmod(-deficit, self._cost)
        return RemainingQuota(requests, -((part - self._cost) // _SECOND))


class WriteLimiter(_TokenBuckets):
    """A quota of bytes of audit events for each key, which is a user and a kind of write. Each byte takes one token.

    Events are never deleted, so without this limit one user could fill the disk. The size of an event is known only
    after it is written. So concurrent writes may overdraw the bucket, and the next ones are rejected. What is overdrawn
    by more than the quota is forgotten, so nobody waits for more than an hour.
    """

    def __init__(self, mib_per_hour: int, *, max_keys: int = MAX_KEYS) -> None:
        super().__init__(RateLimitPolicy("written-bytes", mib_per_hour * MIB, HOUR_SECONDS), max_keys)

    def check(self, key: Hashable, *, at: float) -> None:
        """Raise TooManyChanges if the key's bucket is overdrawn at this monotonic second. Any thread may call it."""
        now = int(at * _SECOND)
        deficit = self._find_full_at(key, now) - now - self._window
        if deficit > 0:
            seconds = -(-deficit // _SECOND)
            raise TooManyChanges(
                f"Your changes of the last hour have filled {self.policy.quota // MIB} MiB of the audit log. "
                f"Try again in {seconds} s.",
                policy=self.policy,
                retry_after_seconds=seconds,
            )

    def charge(self, key: Hashable, written_bytes: int, *, at: float) -> None:
        """Take the bytes of new events out of the key's bucket."""
        now = int(at * _SECOND)
        full_at = self._find_full_at(key, now) + written_bytes * self._cost
        self._store(key, min(full_at, now + 2 * self._window))

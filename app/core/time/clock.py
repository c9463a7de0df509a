"""The system clock. No other module reads it."""

import time
from datetime import UTC, datetime, timedelta

MAX_CLOCK_LAG = timedelta(seconds=5)
"""Maximum by which a machine's clock may lag behind another machine's clock, or be set back."""


def utc_now() -> datetime:
    """Return the current time in UTC. The fraction of a second is dropped, so that the parts of a period add up."""
    return datetime.now(UTC).replace(microsecond=0)


def monotonic_seconds() -> float:
    """Return seconds since an arbitrary instant, to measure durations. This clock is never set back."""
    return time.monotonic()

"""The only place that asks the machine for the time."""

import time
from datetime import UTC, datetime, timedelta

MAX_CLOCK_LAG = timedelta(seconds=5)
"""How far one machine's clock may be behind another's, or behind its own a moment ago."""


def utc_now() -> datetime:
    """The present instant in UTC, in whole seconds: the fraction is dropped, so divisions of a period add up."""
    return datetime.now(UTC).replace(microsecond=0)


def monotonic_seconds() -> float:
    """Seconds since some instant, for lengths of time only: nobody can set this clock back."""
    return time.monotonic()

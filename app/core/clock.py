"""The only place that asks the machine for the time."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present instant in UTC, in whole seconds: the fraction is dropped, so divisions of a period add up."""
    return datetime.now(UTC).replace(microsecond=0)


def monotonic_seconds() -> float:
    """Seconds since some instant, for lengths of time only: nobody can set this clock back."""
    return time.monotonic()

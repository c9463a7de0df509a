"""The only place that asks the machine for the time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present instant in UTC, in whole seconds: the fraction is dropped, so divisions of a period add up."""
    return datetime.now(UTC).replace(microsecond=0)

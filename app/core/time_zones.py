"""Time zones and the instants at which their days begin. No database does zone arithmetic: engines' tables differ."""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

# The pinned tzdata package is the one table of zones, whatever the machine has installed.
zoneinfo.reset_tzpath(())


@cache
def zone_names() -> frozenset[str]:
    """Every name of the tz database that a person can have."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory", "posixrules"})


@lru_cache(maxsize=8192)
def day_start(day: date, zone: str) -> datetime:
    """The UTC instant at which the local day begins.

    Where the clock jumps over midnight the day begins at the jump (America/Sao_Paulo, 2018-11-04, at 01:00); where it
    strikes midnight twice, at the first. A day that the zone left out (Pacific/Apia, 2011-12-30) is empty: it begins
    where the next one does.
    """
    zone_info = ZoneInfo(zone)
    local = datetime.combine(day, time.min, tzinfo=zone_info)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone_info).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    # Midnight was skipped. Read with the offset before the jump (fold=0) it lies in the gap, that is, after the jump in
    # real time; the day begins at the jump itself, which two offsets pin down by bisection to the second.
    before, after = instant - timedelta(days=2), instant + timedelta(days=1)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone_info).date() < day:
            before = middle
        else:
            after = middle
    return after


def period(start: date, end: date, zone: str) -> tuple[datetime, datetime]:
    """The half-open UTC interval of the local days from `start` to `end`, both included."""
    return day_start(start, zone), day_start(end + timedelta(days=1), zone)

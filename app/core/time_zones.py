"""Time zones and the instants at which their days begin. No database does zone arithmetic: engines' tables differ."""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

# The pinned tzdata package is the one table of zones, whatever the machine has installed.
zoneinfo.reset_tzpath(())


_DAY = timedelta(days=1)


@cache
def zone_names() -> frozenset[str]:
    """Every name of the tz database that a person can have."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory", "posixrules"})


@lru_cache(maxsize=8192)
def day_start(day: date, zone: str) -> datetime:
    """The UTC instant at which the local day begins: the first whose local date is that day.

    Where the clock jumps over midnight the day begins at the jump (America/Sao_Paulo, 2018-11-04, at 01:00); where it
    strikes midnight twice, at the first. A day that the zone left out (Pacific/Apia, 2011-12-30) is empty: it begins
    where the next one does.
    """
    zone_info = ZoneInfo(zone)
    midnight = datetime.combine(day, time.min, tzinfo=zone_info)
    begins = midnight.astimezone(UTC)
    before = midnight.replace(fold=1).astimezone(UTC)
    # Only for a midnight that the clock skipped do the two readings of PEP 495 lie the wrong way round, with the jump
    # between them: fold=1 before it, fold=0 at it or after. Halving finds it to the second.
    while begins - before > timedelta(seconds=1):
        middle = (before + (begins - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone_info).date() < day:
            before = middle
        else:
            begins = middle
    return begins


def local_day(second: int, zone: str) -> date:
    """The local day in which an instant lies, given in seconds since 1970: the last one that began before or at it.

    It is the date on the wall, but for the minutes that a clock set back over midnight strikes a second time
    (America/St_Johns, 2010-11-07): they belong to the day that had begun.
    """
    local = datetime.fromtimestamp(second, ZoneInfo(zone))
    day = local.date()
    if not local.fold:  # struck once, or for the first time
        return day
    while second < day_second(day, zone):
        day -= _DAY
    while second >= day_second(day + _DAY, zone):
        day += _DAY
    return day


@lru_cache(maxsize=8192)
def day_second(day: date, zone: str) -> int:
    """`day_start` in seconds since 1970."""
    return int(day_start(day, zone).timestamp())


def period(start: date, end: date, zone: str) -> tuple[datetime, datetime]:
    """The half-open UTC interval of the local days from `start` to `end`, both included."""
    return day_start(start, zone), day_start(end + timedelta(days=1), zone)

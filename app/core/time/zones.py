"""Time zones and the instants at which local days begin.

All time zone arithmetic is done in Python, because the time zone tables of databases differ.
"""

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

# Only the pinned tzdata package is used, not the time zones that the machine has installed.
zoneinfo.reset_tzpath(())


_DAY = timedelta(days=1)
DAY_SECONDS = 86_400
_PROBE_SECONDS = 3 * DAY_SECONDS
"""The distance of the instants that are compared to find changes of an offset. It must be less than that of any two
changes. The closest are 7 days apart: America/Recife in 2000, Asia/Gaza in 2040, 2054 and 2072."""


@cache
def zone_names() -> frozenset[str]:
    """Return the names of the IANA tz database that users can choose."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory", "posixrules"})


@lru_cache(maxsize=1024)
def zone_info(name: str) -> ZoneInfo:
    """Return the zone. A stored name that this version does not know counts as UTC, so that nothing fails for it.

    SQL may have stored it, or a worker with newer zones. `verify-audit` and the start of the service name it.
    """
    return ZoneInfo(name if name in zone_names() else "UTC")


@lru_cache(maxsize=8192)
def day_start(day: date, zone: str) -> datetime:
    """Return the UTC instant at which the local day begins: the first one whose local date is that day.

    If the clock skips midnight, the day begins when the clock changes (America/Sao_Paulo, 2018-11-04, at 01:00). If
    midnight occurs twice, the day begins at the first. A skipped day (Pacific/Apia, 2011-12-30) is empty: it begins and
    ends at the same instant.
    """
    local_zone = zone_info(zone)
    midnight = datetime.combine(day, time.min, tzinfo=local_zone)
    start = midnight.astimezone(UTC)
    before = midnight.replace(fold=1).astimezone(UTC)
    # Only for a skipped midnight is fold=1 earlier than fold=0 (PEP 495). The change of the clock is between them, and
    # the bisection finds it to the second.
    while start - before > timedelta(seconds=1):
        middle = (before + (start - before) / 2).replace(microsecond=0)
        if middle.astimezone(local_zone).date() < day:
            before = middle
        else:
            start = middle
    return start


def local_day(second: int, zone: str) -> date:
    """Return the local day of an instant in seconds since 1970: the last day that began at or before it.

    It is the local date, with one exception. If a clock is set back over midnight (America/St_Johns, 2010-11-07), the
    repeated minutes belong to the day that had already begun.
    """
    local = datetime.fromtimestamp(second, zone_info(zone))
    day = local.date()
    if not local.fold:  # this local time occurs once, or for the first time
        return day
    while second < day_start_epoch(day, zone):
        day -= _DAY
    while second >= day_start_epoch(day + _DAY, zone):
        day += _DAY
    return day


@lru_cache(maxsize=8192)
def day_start_epoch(day: date, zone: str) -> int:
    """`day_start` in seconds since 1970."""
    return int(day_start(day, zone).timestamp())


def day_range(start: date, end: date, zone: str) -> tuple[datetime, datetime]:
    """Return the half-open UTC interval of the local days from `start` to `end`, both inclusive."""
    return day_start(start, zone), day_start(end + timedelta(days=1), zone)


@dataclass(frozen=True, slots=True)
class OffsetPeriod:
    """UTC offsets, in seconds, from the second `start` (since 1970) until the next period.

    The local time is the second plus `offset`. The local day is the date of the second plus `day_offset`. The two
    differ only while a clock that was set back over midnight repeats the end of the previous date.
    """

    start: int
    offset: int
    day_offset: int


def offset_periods(first: int, after: int, zone: str) -> list[OffsetPeriod]:
    """Return the offset periods of a zone in the half-open interval, in seconds since 1970, in ascending order.

    With them a database computes the local day and time of an instant by an addition.
    """
    years = range(datetime.fromtimestamp(first, UTC).year, datetime.fromtimestamp(after, UTC).year + 1)
    selected: list[OffsetPeriod] = []
    for period in (period for year in years for period in _periods_of_year(year, zone)):
        if period.start <= first:
            selected = [OffsetPeriod(first, period.offset, period.day_offset)]
        elif period.start < after and (period.offset, period.day_offset) != (
            selected[-1].offset,
            selected[-1].day_offset,
        ):
            selected.append(period)
    return selected


@lru_cache(maxsize=65_536)  # every zone for a century
def _periods_of_year(year: int, zone: str) -> tuple[OffsetPeriod, ...]:
    start, end = (int(datetime(each, 1, 1, tzinfo=UTC).timestamp()) for each in (year, year + 1))
    # Starts a day earlier, because a change on the last day of the previous year may repeat a midnight in this year.
    before = start - DAY_SECONDS
    periods = [OffsetPeriod(before, _offset(before, zone), _offset(before, zone)), *_changes(before, end, zone)]
    first_index = max(number for number, period in enumerate(periods) if period.start <= start)
    first = periods[first_index]
    return OffsetPeriod(start, first.offset, first.day_offset), *periods[first_index + 1 :]


def _changes(first: int, after: int, zone: str) -> Iterator[OffsetPeriod]:
    """Yield the changes of a zone's offset in the interval."""
    previous = _offset(first, zone)
    for probe in range(first + _PROBE_SECONDS, after + _PROBE_SECONDS, _PROBE_SECONDS):
        offset = _offset(probe, zone)
        if offset == previous:
            continue
        second = _first_second_with(offset, probe - _PROBE_SECONDS, probe, zone)
        if second >= after:
            return
        if (second + offset) // DAY_SECONDS < (second - 1 + previous) // DAY_SECONDS:  # set back over midnight
            yield OffsetPeriod(second, offset, previous)
            second += DAY_SECONDS - (second + offset) % DAY_SECONDS
        yield OffsetPeriod(second, offset, offset)
        previous = offset


def _first_second_with(offset: int, before: int, after: int, zone: str) -> int:
    """Return the first second after `before` at which the zone has the offset. It must have it at `after`."""
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == offset:
            after = middle
        else:
            before = middle
    return after


def _offset(second: int, zone: str) -> int:
    offset = datetime.fromtimestamp(second, zone_info(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())

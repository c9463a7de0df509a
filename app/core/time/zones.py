"""Time zones and the instants at which their days begin. No database does zone arithmetic: engines' tables differ."""

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

# The pinned tzdata package is the one table of zones, whatever the machine has installed.
zoneinfo.reset_tzpath(())


_DAY = timedelta(days=1)
DAY_SECONDS = 86_400
_PROBE_SECONDS = 7 * DAY_SECONDS  # since 2000 no zone changed its clock twice within that, nor do the rules that hold


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
    start = midnight.astimezone(UTC)
    before = midnight.replace(fold=1).astimezone(UTC)
    # Only for a midnight that the clock skipped do the two readings of PEP 495 lie the wrong way round, with the jump
    # between them: fold=1 before it, fold=0 at it or after. Halving finds it to the second.
    while start - before > timedelta(seconds=1):
        middle = (before + (start - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone_info).date() < day:
            before = middle
        else:
            start = middle
    return start


def local_day(second: int, zone: str) -> date:
    """The local day in which an instant lies, given in seconds since 1970: the last one that began before or at it.

    It is the date on the wall, but for the minutes that a clock set back over midnight strikes a second time
    (America/St_Johns, 2010-11-07): they belong to the day that had begun.
    """
    local = datetime.fromtimestamp(second, ZoneInfo(zone))
    day = local.date()
    if not local.fold:  # struck once, or for the first time
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
    """The half-open UTC interval of the local days from `start` to `end`, both included."""
    return day_start(start, zone), day_start(end + timedelta(days=1), zone)


@dataclass(frozen=True, slots=True)
class OffsetPeriod:
    """From the second `start` on, the clock on the wall shows the second plus `offset`, and the local day is the one
    that has the second plus `day_offset` in it: two figures only while a clock set back strikes a midnight again."""

    start: int
    offset: int
    day_offset: int


def offset_periods(first: int, after: int, zone: str) -> list[OffsetPeriod]:
    """What the clocks of a zone show in the half-open interval, in seconds since 1970: piece by piece, in order.

    It is what a database needs to know of a zone to tell the local day and time of an instant by adding a number.
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
    # Begun a little before: a midnight that strikes again behind the year's first second belongs to a change before it.
    before = start - DAY_SECONDS
    periods = [OffsetPeriod(before, _offset(before, zone), _offset(before, zone)), *_changes(before, end, zone)]
    first_index = max(number for number, period in enumerate(periods) if period.start <= start)
    first = periods[first_index]
    return OffsetPeriod(start, first.offset, first.day_offset), *periods[first_index + 1 :]


def _changes(first: int, after: int, zone: str) -> Iterator[OffsetPeriod]:
    """The changes of a zone's clock in the interval."""
    previous = _offset(first, zone)
    for probe in range(first + _PROBE_SECONDS, after + _PROBE_SECONDS, _PROBE_SECONDS):
        offset = _offset(probe, zone)
        if offset == previous:
            continue
        second = _first_second_with(offset, probe - _PROBE_SECONDS, probe, zone)
        if second >= after:
            return
        if (second + offset) // DAY_SECONDS < (second - 1 + previous) // DAY_SECONDS:  # set back into the day before
            yield OffsetPeriod(second, offset, previous)
            second += DAY_SECONDS - (second + offset) % DAY_SECONDS
        yield OffsetPeriod(second, offset, offset)
        previous = offset


def _first_second_with(offset: int, before: int, after: int, zone: str) -> int:
    """The first second behind `before` at which the zone has the offset, which it has at `after`."""
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == offset:
            after = middle
        else:
            before = middle
    return after


def _offset(second: int, zone: str) -> int:
    offset = datetime.fromtimestamp(second, ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())

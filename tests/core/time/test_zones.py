"""The beginning of local days, in every zone of the tz database (rules: T3, T5)."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from app.core.time.zones import OffsetPeriod, day_range, day_start, local_day, offset_periods, zone_names

DAY, HOUR, MINUTE, SECOND = (timedelta(**{unit: 1}) for unit in ("days", "hours", "minutes", "seconds"))
ZONES = sorted(zone_names())
ZONES_WITH_EMPTY_DAYS = {"Pacific/Apia", "Pacific/Fakaofo"}
BACK_OVER_MIDNIGHT = {  # their clocks were set back over midnight
    "America/Goose_Bay",
    "America/Moncton",
    "America/St_Johns",
    "Canada/Newfoundland",
    "Antarctica/Casey",
}
zones = some.sampled_from(ZONES)
unhurried = settings(deadline=None)  # a slow machine must not fail the test
steady_zones = some.sampled_from([zone for zone in ZONES if zone not in BACK_OVER_MIDNIGHT])
days = some.dates(date(2000, 1, 1), date(2100, 1, 1))
instants = some.integers(946_800_000, 4_102_300_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def local_date(instant: datetime, zone: str) -> date:
    return instant.astimezone(ZoneInfo(zone)).date()


def hours_of(day: date, zone: str) -> float:
    begins, ends = day_range(day, day, zone)
    return (ends - begins) / HOUR


def changes_of(zone: str) -> Iterator[datetime]:
    """Yield the instants from 2000 to 2040 at which the zone's offset changes. Later years repeat the same rules."""
    zone_info, step = ZoneInfo(zone), timedelta(days=14)
    instant = datetime(2000, 1, 1, tzinfo=UTC)
    while instant < datetime(2040, 1, 1, tzinfo=UTC):
        before, after = instant, instant + step
        offset = before.astimezone(zone_info).utcoffset()
        if after.astimezone(zone_info).utcoffset() != offset:
            while after - before > SECOND:
                middle = (before + (after - before) / 2).replace(microsecond=0)
                if middle.astimezone(zone_info).utcoffset() == offset:
                    before = middle
                else:
                    after = middle
            yield after
        instant += step


def assert_day_start(day: date, zone: str) -> None:
    begins = day_start(day, zone)
    dates_before = [local_date(begins - SECOND - number * MINUTE, zone) for number in range(70)]
    assert begins.tzinfo is UTC
    assert begins.microsecond == 0
    assert max(dates_before) < day, "an earlier instant bears that date already"
    if zone not in ZONES_WITH_EMPTY_DAYS:
        assert local_date(begins, zone) == day
    assert begins <= day_start(day + DAY, zone)


@unhurried
@given(day=days, zone=zones)
@example(day=date(2018, 11, 4), zone="America/Sao_Paulo")
@example(day=date(2018, 2, 18), zone="America/Sao_Paulo")
@example(day=date(2025, 3, 9), zone="America/Havana")
@example(day=date(2025, 11, 2), zone="America/Havana")
@example(day=date(2010, 11, 7), zone="America/St_Johns")
@example(day=date(2100, 1, 1), zone="Africa/Casablanca")
def test_a_day_begins_at_the_first_instant_that_bears_its_date(day, zone):
    assert_day_start(day, zone)


@unhurried
@given(day=days, zone=zones, length=some.integers(0, 40))
def test_days_follow_each_other_without_gap_or_overlap(day, zone, length):
    whole = day_range(day, day + length * DAY, zone)
    each = [day_range(day + number * DAY, day + number * DAY, zone) for number in range(length + 1)]

    assert [each[0][0], each[-1][1]] == list(whole)
    assert all(before[1] == after[0] for before, after in pairwise(each))


@unhurried
@given(instant=instants, zone=steady_zones)
def test_an_instant_lies_in_the_day_that_the_wall_calendar_shows(instant, zone):
    begins, ends = day_range(local_date(instant, zone), local_date(instant, zone), zone)

    assert begins <= instant < ends


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.extended)])
def test_days_begin_rightly_around_every_clock_change_of_every_zone(every):
    seen: set[tuple[datetime, ...]] = set()
    for zone in ZONES[::every]:
        changes = tuple(changes_of(zone))
        if changes in seen:  # most names are links to others, which the random tests above sample
            continue
        seen.add(changes)
        for change in changes:
            for offset in (-1, 0, 1):
                assert_day_start(local_date(change, zone) + offset * DAY, zone)
    assert len(seen) > 150 / every


def test_where_the_clock_jumps_over_midnight_the_day_begins_at_the_jump():
    begins = day_start(date(2018, 11, 4), "America/Sao_Paulo")

    assert begins == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert begins.astimezone(ZoneInfo("America/Sao_Paulo")).hour == 1
    assert hours_of(date(2018, 11, 4), "America/Sao_Paulo") == 23


def test_where_the_jump_comes_before_midnight_the_day_begins_at_the_jump_too():
    """Toronto, 1919-03-30: at 23:30 the clock went forward to 00:30. No zone has done so since, but one may again."""
    begins = day_start(date(1919, 3, 31), "America/Toronto")

    assert begins == datetime(1919, 3, 31, 4, 30, tzinfo=UTC)
    assert local_date(begins - SECOND, "America/Toronto") == date(1919, 3, 30)


def test_where_the_clock_strikes_midnight_twice_the_day_begins_at_the_first():
    begins = day_start(date(2025, 11, 2), "America/Havana")

    assert begins == datetime(2025, 11, 2, 4, tzinfo=UTC)
    assert (begins + HOUR).astimezone(ZoneInfo("America/Havana")).hour == 0
    assert hours_of(date(2025, 11, 2), "America/Havana") == 25


def test_an_hour_that_comes_again_before_midnight_stays_with_the_day_that_had_begun():
    """St John's, 2010-11-07: at 00:01 the clock went back to 23:01 of the previous day."""
    begins, ends = day_range(date(2010, 11, 7), date(2010, 11, 7), "America/St_Johns")
    repeated = datetime(2010, 11, 7, 3, tzinfo=UTC)

    assert local_date(repeated, "America/St_Johns") == date(2010, 11, 6)
    assert begins <= repeated < ends


def test_a_day_that_the_zone_left_out_is_empty():
    assert hours_of(date(2011, 12, 30), "Pacific/Apia") == 0
    assert hours_of(date(2011, 12, 29), "Pacific/Apia") == 24
    assert local_date(day_start(date(2011, 12, 30), "Pacific/Apia"), "Pacific/Apia") == date(2011, 12, 31)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25)])
def test_days_in_berlin_have_23_to_25_hours(day, hours):
    assert hours_of(date.fromisoformat(day), "Europe/Berlin") == hours


def test_offsets_of_less_than_a_minute_count():
    assert day_start(date(1971, 6, 1), "Africa/Monrovia") == datetime(1971, 6, 1, 0, 44, 30, tzinfo=UTC)


def test_a_century_of_days_adds_up():
    begins, ends = day_range(date(2000, 1, 1), date(2100, 1, 1), "Europe/Berlin")

    assert (begins, ends) == (datetime(1999, 12, 31, 23, tzinfo=UTC), datetime(2100, 1, 1, 23, tzinfo=UTC))


def test_every_zone_can_be_read():
    assert {"Europe/Berlin", "UTC", "America/Sao_Paulo", "Asia/Kolkata"} < zone_names()
    assert "localtime" not in zone_names()
    assert all(day_start(date(2026, 1, 1), zone) for zone in ZONES)


def clock_at(second: int, clocks: list[OffsetPeriod]) -> OffsetPeriod:
    """Return the period that contains an instant."""
    return clocks[bisect_right([clock.start for clock in clocks], second) - 1]


def assert_local_time(second: int, zone: str, clocks: list[OffsetPeriod]) -> None:
    """Assert that adding the offsets of the period gives the local time and the local day."""
    piece, wall = clock_at(second, clocks), datetime.fromtimestamp(second, ZoneInfo(zone))
    assert datetime.fromtimestamp(second + piece.offset, UTC).isoformat()[:19] == wall.isoformat()[:19]
    assert date(1970, 1, 1) + DAY * ((second + piece.day_offset) // 86_400) == local_day(second, zone)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Apia", "America/Sao_Paulo", *sorted(BACK_OVER_MIDNIGHT)])
def test_adding_a_number_tells_the_local_time_and_day_around_every_change_of_the_clock(zone):
    first, after = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2000, 2040))
    clocks, changes = offset_periods(first, after, zone), [int(change.timestamp()) for change in changes_of(zone)]

    assert set(changes) <= {clock.start for clock in clocks}
    for change in changes:
        for minutes in range(-75, 76):
            assert_local_time(change + minutes * 60 - 1, zone, clocks)
            assert_local_time(change + minutes * 60, zone, clocks)


@given(zones, some.integers(990_000_000, 4_070_900_000))
@unhurried
def test_adding_a_number_tells_the_local_time_and_day_of_any_instant(zone, second):
    assert_local_time(second, zone, offset_periods(second - 40_000_000, second + 1, zone))


@pytest.mark.parametrize(
    ("zone", "year"), [("America/Recife", 2000), ("America/Noronha", 2000), ("Asia/Gaza", 2040), ("Asia/Gaza", 2054)]
)
def test_two_changes_of_the_clock_within_a_week_both_count(zone, year):
    first, after = (int(datetime(each, 1, 1, tzinfo=UTC).timestamp()) for each in (year, year + 1))
    clocks = offset_periods(first, after, zone)

    changes = [later.start - earlier.start for earlier, later in pairwise(clocks)]
    assert min(changes) < 7 * 86_400
    for second in range(first, after, 1800):
        assert_local_time(second, zone, clocks)

"""Local days and times as the databases tell them, held against Python's, in many zones (rules: T3, T5)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from sqlalchemy import insert, select

from app.core.database.dialect import epoch
from app.core.time.zones import day_second, local_day, zone_names
from app.models.tables import ENTRY
from app.schemas.reports.summary import Group
from app.services.calendar.group_keys import CalendarKeys
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import Period, resolve
from app.services.users.administration import register_zone

EPOCH = date(1970, 1, 1)
# Three quarters of an hour, half an hour of summer time, no midnight, a day left out, 00:01 struck twice.
ODD = [
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "America/St_Johns",
    "Europe/Berlin",
]
ZONES = some.lists(some.sampled_from(ODD) | some.sampled_from(sorted(zone_names())), min_size=1, max_size=6)
AROUND = [date(2010, 11, 1), date(2011, 12, 20), date(2018, 10, 30), date(2026, 3, 20), date(2026, 10, 20)]
STARTS = some.sampled_from(AROUND) | some.dates(date(2000, 1, 1), date(2090, 1, 1))
unhurried = settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def work(people, database):
    """Writes entries of nothing, one at each second and zone, in the place of those from before."""
    ana, website = people.employee("Ana"), people.project("Website")

    def write(session, instants):
        session.execute(ENTRY.delete())
        values = {"user_id": ana.id, "project_id": website.id, "description": "", "needs_review": False, "version": 1}
        for zone in {zone for _, zone in instants}:
            register_zone(session, zone)
        rows = []
        for second, zone in instants:
            at = datetime.fromtimestamp(second, UTC)
            times = {"start_time": at, "end_time": at, "created_at": at, "updated_at": at}
            rows.append(values | times | {"time_zone": zone})
        session.execute(insert(ENTRY), rows)

    return write


def instants_of(period, zones, offsets):
    """Seconds of the period in each zone: around each of its midnights, and anywhere."""
    for zone in zones:
        first, after = day_second(period.start, zone), day_second(period.end + timedelta(days=1), zone)
        days = (period.start + timedelta(days=number) for number in range((period.end - period.start).days + 1))
        midnights = {day_second(day, zone) for day in days}
        seconds = midnights | {each - 1 for each in midnights} | {first + offset for offset in offsets}
        yield from ((second, zone) for second in sorted(seconds) if first <= second < after)


@unhurried
@given(
    zones=ZONES,
    start=STARTS,
    count=some.integers(1, 30),
    at=some.none() | some.just(datetime(2026, 11, 1, tzinfo=UTC)),
    offsets=some.lists(some.integers(0, 30 * 86400), max_size=30),
    asked=some.none() | some.sampled_from(ODD),
)
@example(zones=ODD, start=date(2010, 11, 1), count=14, at=None, offsets=list(range(0, 14 * 86400, 1801)), asked=None)
@example(zones=ODD, start=date(2011, 12, 20), count=14, at=None, offsets=list(range(0, 14 * 86400, 1801)), asked=None)
def test_the_database_tells_the_same_day_as_python(database, work, zones, start, count, at, offsets, asked):
    period = Period(start, start + timedelta(days=count - 1), asked)
    instants = list(instants_of(period, [asked] if asked else list(dict.fromkeys(zones)), offsets))
    with database.writing() as session:
        work(session, instants)
    told = []

    with database.reading() as session:
        local, calendar = LocalTime(resolve(session, period, clocks_until=at)), CalendarKeys(period)
        second = epoch(ENTRY.c.start_time)
        day = local.day(ENTRY.c.start_time)
        columns = {
            "zone": ENTRY.c.time_zone,
            "second": second,
            "wall": local.wall(ENTRY.c.start_time),
            "wall's date": local.wall(ENTRY.c.start_time, "day"),
            "day": day,
            "day of the second": local.day(second),
            "begins": local.begins(day),
            "ends": local.begins(day + 1),
            "month": calendar.of_instant(Group.month, local, ENTRY.c.start_time),
            "month of the day": calendar.of_day(Group.month, day),
            "week": calendar.of_instant(Group.week, local, ENTRY.c.start_time),
            "weekday": calendar.of_instant(Group.weekday, local, ENTRY.c.start_time),
        }
        told = session.execute(select(*(column.label(name) for name, column in columns.items()))).mappings().all()

    assert len(told) == len(instants)
    for row in told:
        assert dict(row) | {"wall's date": row["wall's date"].date()} == expected(row["second"], row["zone"], calendar)


def expected(second, zone, calendar):
    day = local_day(second, zone)
    shown = {group: {value: key for key, value in calendar.shown(group).items()} for group in (Group.week, Group.month)}
    month = shown[Group.month][f"{day:%Y-%m}"]
    return {
        "zone": zone,
        "second": second,
        "wall": datetime.fromtimestamp(second, ZoneInfo(zone)).replace(tzinfo=None, fold=0),
        "wall's date": day,
        **dict.fromkeys(("day", "day of the second"), (day - EPOCH).days),
        "begins": day_second(day, zone),
        "ends": day_second(day + timedelta(days=1), zone),
        **dict.fromkeys(("month", "month of the day"), month),
        "week": shown[Group.week]["{}-W{:02}".format(*day.isocalendar())],
        "weekday": day.isoweekday(),
    }

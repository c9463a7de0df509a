"""Local days and times computed by the databases, compared with Python in many zones (rules: T3, T5)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, true

from app.core.database.dialect import epoch
from app.core.time.zones import day_start_epoch, local_day, zone_names
from app.models.tables import ENTRY
from app.schemas.reports.summary import SummaryGroup
from app.services.calendar.group_keys import CalendarKeys
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import Period, resolve
from app.services.users.administration import register_zone

EPOCH = date(1970, 1, 1)
# Offsets of 45 minutes, 30 minutes of summer time, a skipped midnight, a skipped day, and 00:01 twice in one night.
ODD_ZONES = [
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "America/St_Johns",
    "Europe/Berlin",
]
ZONES = st.lists(st.sampled_from(ODD_ZONES) | st.sampled_from(sorted(zone_names())), min_size=1, max_size=6)
NEAR_CLOCK_CHANGES = [date(2010, 11, 1), date(2011, 12, 20), date(2018, 10, 30), date(2026, 3, 20), date(2026, 10, 20)]
STARTS = st.sampled_from(NEAR_CLOCK_CHANGES) | st.dates(date(2000, 1, 1), date(2090, 1, 1))
unhurried = settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def write_entries(people, database):
    """Replace all entries with entries of 0 s, one for each second and zone."""
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
    """Return seconds of the period for each zone: near each midnight, and at random."""
    for zone in zones:
        lower, upper = day_start_epoch(period.start, zone), day_start_epoch(period.end + timedelta(days=1), zone)
        days = (period.start + timedelta(days=number) for number in range((period.end - period.start).days + 1))
        midnights = {day_start_epoch(day, zone) for day in days}
        seconds = midnights | {each - 1 for each in midnights} | {lower + offset for offset in offsets}
        yield from ((second, zone) for second in sorted(seconds) if lower <= second < upper)


@unhurried
@given(
    zones=ZONES,
    start=STARTS,
    count=st.integers(1, 30),
    at=st.none() | st.just(datetime(2026, 11, 1, tzinfo=UTC)),
    offsets=st.lists(st.integers(0, 30 * 86400), max_size=30),
    report_zone=st.none() | st.sampled_from(ODD_ZONES),
)
@example(
    zones=ODD_ZONES,
    start=date(2010, 11, 1),
    count=14,
    at=None,
    offsets=list(range(0, 14 * 86400, 1801)),
    report_zone=None,
)
@example(
    zones=ODD_ZONES,
    start=date(2011, 12, 20),
    count=14,
    at=None,
    offsets=list(range(0, 14 * 86400, 1801)),
    report_zone=None,
)
def test_the_database_tells_the_same_day_as_python(
    database, write_entries, zones, start, count, at, offsets, report_zone
):
    period = Period(start, start + timedelta(days=count - 1), report_zone)
    instants = list(instants_of(period, [report_zone] if report_zone else list(dict.fromkeys(zones)), offsets))
    with database.write_transaction() as session:
        write_entries(session, instants)
    rows = []

    with database.read_transaction() as session:
        local, calendar = LocalTime(resolve(session, period, true(), now=at)), CalendarKeys(period)
        second = epoch(ENTRY.c.start_time)
        day = local.day(ENTRY.c.start_time)
        columns = {
            "zone": ENTRY.c.time_zone,
            "second": second,
            "wall": local.local_timestamp(ENTRY.c.start_time),
            "wall's date": local.local_timestamp(ENTRY.c.start_time, "day"),
            "day": day,
            "day of the second": local.day(second),
            "begins": local.day_start(day),
            "ends": local.day_start(day + 1),
            "month": calendar.key_of_instant(SummaryGroup.month, local, ENTRY.c.start_time),
            "month of the day": calendar.key_of_day(SummaryGroup.month, day),
            "week": calendar.key_of_instant(SummaryGroup.week, local, ENTRY.c.start_time),
            "weekday": calendar.key_of_instant(SummaryGroup.weekday, local, ENTRY.c.start_time),
        }
        rows = session.execute(select(*(column.label(name) for name, column in columns.items()))).mappings().all()

    assert len(rows) == len(instants)
    for row in rows:
        assert dict(row) | {"wall's date": row["wall's date"].date()} == expected(row["second"], row["zone"], calendar)


def expected(second, zone, calendar):
    day = local_day(second, zone)
    labels = {
        group: {value: key for key, value in calendar.labels(group).items()}
        for group in (SummaryGroup.week, SummaryGroup.month)
    }
    month = labels[SummaryGroup.month][f"{day:%Y-%m}"]
    return {
        "zone": zone,
        "second": second,
        "wall": datetime.fromtimestamp(second, ZoneInfo(zone)).replace(tzinfo=None, fold=0),
        "wall's date": day,
        **dict.fromkeys(("day", "day of the second"), (day - EPOCH).days),
        "begins": day_start_epoch(day, zone),
        "ends": day_start_epoch(day + timedelta(days=1), zone),
        **dict.fromkeys(("month", "month of the day"), month),
        "week": labels[SummaryGroup.week]["{}-W{:02}".format(*day.isocalendar())],
        "weekday": day.isoweekday(),
    }

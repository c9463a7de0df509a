"""Totals to the second (rules: T3, T5, T6), in any zone, season and period, by day, week and month.

In both attributions, own hours, team report, summary, CSV export and a SUM in the database must be equal. By default,
each run repeats the same examples. `TOTALS_EXAMPLES=1000` draws 1000 new examples for each database.
"""

import csv
import io
import os
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select

from app.core.database.dialect import epoch
from app.core.time.zones import day_range as instants_of
from app.core.time.zones import zone_names
from app.models.tables import ENTRY
from app.services.users.administration import register_zone

pytestmark = pytest.mark.high_volume
EXAMPLES = os.environ.get("TOTALS_EXAMPLES")
# Offsets of 45 minutes, 30 minutes of summer time, a skipped midnight, a skipped day, and 00:01 twice in one night.
ODD_ZONES = [
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "America/St_Johns",
    "Europe/Berlin",
]
ZONES = st.one_of(st.sampled_from(ODD_ZONES), st.sampled_from(sorted(zone_names())))
LENGTHS = st.one_of(st.integers(0, 3600), st.integers(0, 30 * 3600), st.integers(0, 9 * 86400))
# Days near clock changes, days in years with unusual changes, and random days.
NEAR_CLOCK_CHANGES = st.sampled_from(
    [date(2010, 11, 6), date(2011, 12, 29), date(2018, 11, 3), date(2026, 3, 28), date(2026, 10, 24), date(2026, 4, 5)]
)
FIRST_DAYS = st.one_of(NEAR_CLOCK_CHANGES, st.dates(date(2001, 1, 1), date(2025, 1, 1)))


@dataclass(frozen=True)
class RecordedWork:
    """Consecutive entries, each with its zone, and the requested period, which may have a zone of its own."""

    entries: list[tuple[datetime, datetime, str]]
    start: date
    end: date
    tz: str | None

    def subperiods(self):
        """Return the days, ISO weeks and months of the period, each as its first and last day."""
        days = [self.start + timedelta(days=number) for number in range((self.end - self.start).days + 1)]
        by_week, by_month = defaultdict(list), defaultdict(list)
        for day in days:
            by_week[day.isocalendar()[:2]].append(day)
            by_month[day.year, day.month].append(day)
        return {
            "days": [(day, day) for day in days],
            "weeks": [(week[0], week[-1]) for week in by_week.values()],
            "months": [(month[0], month[-1]) for month in by_month.values()],
        }

    def seconds_inside(self, attribution):
        """Return the seconds that count in the period. This is the rule in one line for each attribution."""
        total = 0
        for start, end, zone in self.entries:
            first, after = instants_of(self.start, self.end, self.tz or zone)
            if attribution == "split":
                total += max(0, int((min(end, after) - max(start, first)).total_seconds()))
            elif first <= start < after:
                total += int((end - start).total_seconds())
        return total


@st.composite
def recorded_work(draw):
    start = draw(FIRST_DAYS)
    zones = draw(st.lists(ZONES, min_size=1, max_size=3))
    at = datetime(start.year, start.month, start.day, tzinfo=UTC) - timedelta(days=3)
    entries = []
    for gap, length in draw(st.lists(st.tuples(LENGTHS, LENGTHS), min_size=1, max_size=8)):
        begins = at + timedelta(seconds=gap)
        at = begins + timedelta(seconds=length)
        entries.append((begins, at, draw(st.sampled_from(zones))))
    return RecordedWork(entries, start, start + timedelta(days=draw(st.integers(0, 20))), draw(st.none() | ZONES))


@settings(
    max_examples=int(EXAMPLES or 5),
    derandomize=EXAMPLES is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(recorded=recorded_work())
def test_every_way_of_adding_up_gives_the_same_seconds(people, server, as_user, mia, website, recorded):
    # All examples share one company. Each example creates a user of its own.
    zone = recorded.entries[0][2]
    ana = people.employee("Ana", manager=mia, email=f"{uuid.uuid4().hex}@example.com", time_zone=zone)
    insert_entries(server.database, ana, website, recorded)
    me, manager = as_user(ana), as_user(mia)

    for attribution in ("start", "split"):
        expected = recorded.seconds_inside(attribution)
        params = {"start_date": recorded.start, "end_date": recorded.end, "attribution": attribution}
        params |= {"time_zone": recorded.tz} if recorded.tz else {}
        days = me.get("/reports/me", params=params).json()
        rows = csv_rows(manager, ana, params)
        grouped = me.get("/reports/summary", params=params | {"group_by": ["week", "weekday", "day"]}).json()

        totals = {
            "total of my days": days["total_seconds"],
            "sum of my days": sum(day["total_seconds"] for day in days["days"]),
            "entries of my days": sum(length(entry) for day in days["days"] for entry in day["entries"]),
            "my hours": sum(map(length, me.get("/time-entries/me", params=params).json())),
            "team, with entries": team_seconds(manager, ana, params),
            "team, added up in SQL": team_seconds(manager, ana, params | {"include_entries": False}),
            "CSV": sum(int(row["seconds_worked"]) for row in rows),
            "summary": grouped["total_seconds"],
        }
        for name, subperiods in recorded.subperiods().items():
            params_of_each = [params | {"start_date": first, "end_date": last} for first, last in subperiods]
            totals[name] = sum(team_seconds(manager, ana, each | {"include_entries": False}) for each in params_of_each)

        assert totals == dict.fromkeys(totals, expected)
        by_day: dict[str, int] = defaultdict(int)
        for row in rows:
            by_day[row["date"]] += int(row["seconds_worked"])
        assert by_day == {day["date"]: day["total_seconds"] for day in days["days"] if day["entries"]}
        assert by_day == {row["day"]: row["total_seconds"] for row in grouped["rows"]}


def test_a_whole_life_adds_up_in_the_database_too(people, server, as_user, mia, website):
    """The period contains all entries, so every report must equal a plain SUM in SQL."""
    ana = people.employee("Ana", manager=mia)
    for day in range(1, 29):
        people.entry(ana, website, f"2026-02-{day:02} 20:00:01", f"2026-02-{day:02} 23:59:59")
    params = {"start_date": "2000-01-01", "end_date": "2099-12-31", "include_entries": False}

    with server.database.read_transaction() as session:
        lengths = epoch(ENTRY.c.end_time) - epoch(ENTRY.c.start_time)
        total = int(session.execute(select(func.sum(lengths)).where(ENTRY.c.user_id == ana.id)).scalar_one())

    for attribution in ("start", "split"):
        assert team_seconds(as_user(mia), ana, params | {"attribution": attribution}) == total == 28 * (4 * 3600 - 2)


def test_every_surface_rounds_hours_half_up(people, as_user, mia, website):
    """18 s are half of 0.01 h. Rounding to even, or rounding the quotient in binary, differs for at least one sum."""
    ana = people.employee("Ana", manager=mia)
    for day, seconds in enumerate((18, 54, 90), start=2):
        people.entry(
            ana, website, f"2026-03-0{day} 08:00:00", f"2026-03-0{day} 08:{seconds // 60:02}:{seconds % 60:02}"
        )
    params = {"start_date": "2026-03-02", "end_date": "2026-03-04"}

    mine = as_user(ana).get("/reports/me", params=params).json()
    summary = as_user(ana).get("/reports/summary", params=params | {"group_by": "day"}).json()
    (of_ana,) = as_user(mia).get("/reports/team", params=params).json()
    exported = csv_rows(as_user(mia), ana, params)

    of_days = [0.01, 0.02, 0.03]
    assert [day["total_hours"] for day in mine["days"]] == of_days
    assert [row["total_hours"] for row in summary["rows"]] == of_days
    assert [float(row["hours_worked"]) for row in exported] == of_days
    assert (mine["total_hours"], summary["total_hours"], of_ana["total_hours"]) == (0.05, 0.05, 0.05)


def insert_entries(database, ana, website, recorded):
    with database.write_transaction() as session:
        for start, end, zone in recorded.entries:
            register_zone(session, zone)
            values = {"user_id": ana.id, "project_id": website.id, "start_time": start, "end_time": end}
            values |= {"description": "", "time_zone": zone, "needs_review": False, "version": 1}
            session.execute(insert(ENTRY).values(**values, created_at=start, updated_at=start))


def team_seconds(manager, ana, params):
    """Return Ana's seconds in the team report."""
    return next(
        row["total_seconds"]
        for row in manager.get("/reports/team", params=params).json()
        if row["employee"]["id"] == ana.id
    )


def csv_rows(manager, ana, params):
    """Return Ana's rows of the CSV export."""
    text = manager.get("/reports/export/csv", params=params | {"columns": "full"}).text
    return [row for row in csv.DictReader(io.StringIO(text)) if row["employee_id"] == str(ana.id)]


def length(entry):
    start, end = (datetime.fromisoformat(entry[name]) for name in ("start_time", "end_time"))
    return int((end - start).total_seconds())

"""Zones that nobody in sight uses. Any user can register them all, and no report becomes slower for it (rules: T3)."""

import re

import pytest

from app.core.time.zones import zone_names
from app.models.tables import TIME_ZONE
from tests.support.query_counter import capture_statements

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
SPLIT = {"attribution": "split"}
REPORTS = [
    ("/reports/team", MARCH | {"scope": "all"}),
    ("/reports/team", MARCH | SPLIT | {"scope": "all"}),
    ("/reports/team", MARCH | SPLIT | {"scope": "all", "include_entries": False}),
    ("/reports/summary", MARCH | {"group_by": ["day", "user"]}),
    ("/reports/summary", MARCH | SPLIT | {"group_by": ["month", "user"]}),
    ("/reports/export/csv", MARCH | {"scope": "all", "columns": "full"}),
    ("/reports/export/json", MARCH | SPLIT | {"scope": "all"}),
    ("/reports/me", MARCH | SPLIT),
    ("/time-entries", MARCH),
    ("/time-entries/me", MARCH | SPLIT),
]


def register_all_zones(database):
    with database.write_transaction() as session:
        registered = set(session.scalars(TIME_ZONE.select()))
        session.execute(TIME_ZONE.insert(), [{"name": name} for name in sorted(zone_names() - registered)])


def report_of(caller, report):
    """Return a report without the time of its computation."""
    path, params = report
    response = caller.get(path, params=params)
    assert response.status_code == 200, response.text
    return re.sub('"as_of":"[^"]*"', "", response.text)


@pytest.fixture
def travellers(people, ada, ana, website):
    """Ada and Ana work on the first and last days of March, and over its bounds, in zones far apart."""
    people.entry(ada, website, "2026-02-10 08:00", "2026-03-10 08:00", time_zone="Pacific/Kiritimati")
    people.entry(ada, website, "2026-03-31 09:30", "2026-03-31 10:30", time_zone="Pacific/Kiritimati")
    people.entry(ana, website, "2026-02-28 10:30", "2026-03-01 12:30", time_zone="Etc/GMT-14")
    people.entry(ana, website, "2026-03-05 22:00", "2026-03-06 06:00", time_zone="Europe/Berlin")
    people.entry(ana, website, "2026-04-01 11:30", "2026-04-01 12:30", time_zone="Etc/GMT+12")
    ben = people.employee("Ben")
    people.entry(ben, website, "2026-01-05 08:00", None, time_zone="America/St_Johns")
    people.entry(people.employee("Eve"), website, "2026-04-20 08:00", "2026-04-20 09:00", time_zone="Asia/Tokyo")


@pytest.mark.parametrize("report", REPORTS, ids=lambda each: each[0])
def test_a_report_is_the_same_when_all_zones_are_registered(server, as_user, ada, travellers, report):
    caller = as_user(ada)
    before = report_of(caller, report)

    register_all_zones(server.database)

    assert report_of(caller, report) == before


@pytest.mark.parametrize("report", REPORTS, ids=lambda each: each[0])
def test_no_statement_grows_with_the_zones_that_nobody_in_sight_uses(
    people, server, as_user, ada, ana, website, report
):
    people.entry(ana, website, "2026-03-05 22:00", "2026-03-06 06:00", time_zone="Europe/Berlin")
    people.entry(people.employee("Eve"), website, "2026-04-20 08:00", "2026-04-20 09:00", time_zone="Asia/Tokyo")
    caller = as_user(ada)
    with capture_statements(server) as before:
        report_of(caller, report)
    register_all_zones(server.database)

    with capture_statements(server) as after:
        report_of(caller, report)

    assert len(after) == len(before)
    assert max(map(len, after)) <= max(map(len, before))

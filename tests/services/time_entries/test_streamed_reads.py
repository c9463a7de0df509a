"""A response that is streamed, because it is large, has the bytes of one that is built in memory."""

from datetime import date

import pytest

from app.core.pagination import MAX_OWN_ROWS
from app.models.users import Role
from app.schemas.reports.report import Attribution, ReportScope
from app.services.access.actor import Actor
from app.services.calendar.periods import Period
from app.services.reports import personal, team
from app.services.reports.team import TeamReportQuery
from app.services.time_entries import entries, own_entries
from tests.support.export_files import add_entries
from tests.support.factories import instant
from tests.support.long_record import add_changes

NOW = instant("2026-03-10 12:00")
MARCH = Period(date(2026, 3, 1), date(2026, 3, 31))
HOSTILE = ['say "so"', "back\\slash", "two\nlines\tand a tab", "Zoë 漢字 🙂", "</script>", "\u2028", "100 %s %", ""]


@pytest.fixture
def company(people):
    """Mia, and her employees Ana with entries over midnights, Bob without any, and Zoe with an open one."""
    mia = people.manager("Mia")
    ana = people.employee("Ana", manager=mia, time_zone="Pacific/Kiritimati")
    people.employee("Bob", manager=mia)
    zoe = people.employee("Zoe", manager=mia, time_zone="America/New_York")
    projects = people.project('The "W"'), people.project("Over", is_active=False)
    people.entry(ana, projects[0], "2026-02-27 09:30", "2026-02-28 11:30", time_zone="UTC")
    for day, text in enumerate(HOSTILE, start=1):
        people.entry(ana, projects[day % 2], f"2026-03-{day:02} 08:00", f"2026-03-{day:02} 23:30", description=text)
    people.entry(ana, projects[0], "2026-03-09 08:00", "2026-03-09 08:00")
    people.entry(ana, projects[0], "2026-03-09 08:00", "2026-03-09 09:00")
    people.entry(zoe, projects[0], "2026-03-08 08:00", None)
    return {user.first_name: Actor(user.id, Role(user.role), user.time_zone) for user in (mia, ana, zoe)}


@pytest.mark.parametrize("attribution", Attribution)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("name", ["Mia", "Ana", "Zoe"])
def test_ones_own_entries_and_days_are_the_same_streamed(database, company, name, attribution, zone):
    actor, period = company[name], Period(MARCH.start, MARCH.end, zone)
    streamed_entries, streamed_days = bytearray(), bytearray()

    with database.read_transaction() as session:
        own_entries.write_json(session, actor, period, streamed_entries.extend, attribution=attribution, at=NOW)
        personal.write_personal_report(session, actor, period, streamed_days.extend, attribution=attribution, at=NOW)

        assert streamed_entries == entries.list_own(session, actor, period, attribution=attribution, at=NOW)
        assert streamed_days == personal.personal_report(session, actor, period, attribution=attribution, at=NOW)


@pytest.mark.parametrize("attribution", Attribution)
@pytest.mark.parametrize("include_entries", [True, False])
def test_the_team_report_is_the_same_streamed(database, company, attribution, include_entries):
    query = TeamReportQuery(MARCH, attribution, ReportScope.team, True, include_entries)
    streamed = bytearray()

    with database.read_transaction() as session:
        team.write_team_report(session, company["Mia"], query, streamed.extend, at=NOW)

        assert streamed == team.team_report(session, company["Mia"], query, at=NOW)
    assert streamed.count(b'"employee":') == 3


def test_a_team_without_employees_is_an_empty_list_streamed(database, people):
    mia = people.manager("Mia")
    query = TeamReportQuery(MARCH, Attribution.at_start, ReportScope.team, True, True)
    streamed = bytearray()

    with database.read_transaction() as session:
        team.write_team_report(session, Actor(mia.id, Role.manager, "UTC"), query, streamed.extend, at=NOW)

    assert streamed == b"[]"


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/time-entries/me", {}),
        ("/time-entries/me", {"attribution": "split"}),
        ("/reports/me", {}),
        ("/reports/me", {"attribution": "split"}),
    ],
)
def test_own_entries_of_more_than_a_busy_month_use_the_permits_of_reports(database, people, as_user, path, params):
    """Only a streamed response has no length, and only the report permits stream."""
    ana, zoe, website = people.employee("Ana"), people.employee("Zoe"), people.project("Website")
    add_entries(database, ana, website.id, count=MAX_OWN_ROWS, description="")
    add_entries(database, zoe, website.id, count=MAX_OWN_ROWS + 1, description="")
    march = params | {"start_date": "2026-03-01", "end_date": "2026-03-31"}

    answers = [as_user(user).get(path, params=march) for user in (ana, zoe)]

    assert [answer.text.count('"needs_review"') for answer in answers] == [MAX_OWN_ROWS, MAX_OWN_ROWS + 1]
    assert ["content-length" in answer.headers for answer in answers] == [True, False]


def test_so_does_a_history_of_many_changes(database, people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    entries = [people.entry(ana, website, f"2026-03-0{day} 08:00", f"2026-03-0{day} 09:00") for day in (1, 2)]
    add_changes(database, entries[1], ana.id, MAX_OWN_ROWS + 1)

    short, long = (as_user(ana).get(f"/time-entries/{entry}/history") for entry in entries)

    assert len(long.json()) == MAX_OWN_ROWS + 1
    assert "content-length" in short.headers
    assert "content-length" not in long.headers

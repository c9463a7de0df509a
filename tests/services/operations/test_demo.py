"""The demo company: its users, and plausible working hours."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from app.models.tables import ENTRY, USER
from app.models.users import Role
from app.services.operations import demo
from tests.support.factories import instant, password_hash

# DST changes in the 90 days before: in Europe on 29 March and 25 October, in New York on 8 March and 1 November.
SPRING, AUTUMN = instant("2026-04-20 12:00"), instant("2026-11-23 00:30")


@pytest.fixture
def today():
    return SPRING


@pytest.fixture
def company(database, today):
    with database.write_transaction("test") as session:
        return demo.build(
            session, password_hash=password_hash(), force=False, at=today, on_progress=lambda done, total: None
        )


def test_a_boss_leads_three_managers_who_lead_the_rest_of_thirty_people(few_days, database, company):
    with database.read_transaction() as session:
        people = session.execute(select(USER)).all()

    by_id = {user.id: user for user in people}
    (boss,) = (user for user in people if user.manager_id is None)
    teams = Counter(user.manager_id for user in people if user.role == Role.employee)
    assert (company.users, len(people), boss.email) == (30, 30, company.boss_email)
    assert sorted(teams.values()) == [8, 9, 9]
    assert {by_id[manager].manager_id for manager in teams} == {boss.id}
    assert {by_id[manager].role for manager in [boss.id, *teams]} == {Role.manager}


@pytest.mark.parametrize(("engine", "today"), [("sqlite", SPRING), ("postgresql", AUTUMN)])
def test_they_work_office_hours_with_a_lunch_on_weekdays_of_the_last_ninety_days(database, company, today):
    with database.read_transaction() as session:
        entries = session.execute(select(ENTRY).order_by(ENTRY.c.user_id, ENTRY.c.start_time)).all()

    days = defaultdict(list)
    for entry in entries:
        zone = ZoneInfo(entry.time_zone)
        start, end = entry.start_time.astimezone(zone), entry.end_time.astimezone(zone)
        days[entry.user_id, start.date()].append((start.replace(tzinfo=None), end.replace(tzinfo=None)))
        assert entry.end_time < today
    assert len(entries) == company.entries
    for (_, day), ((begins, lunch), (resumes, ends)) in days.items():
        assert day.weekday() < 5
        assert 8 <= begins.hour <= 9
        assert timedelta(minutes=25) <= resumes - lunch <= timedelta(minutes=75)
        assert ends.date() == day
    for one, other in pairwise(entries):
        assert one.user_id != other.user_id or one.end_time < other.start_time
    worked = Counter(user_id for user_id, _ in days)
    assert len(worked) == 29
    assert all(50 <= count <= 66 for count in worked.values())
    assert (today.date() - min(day for _, day in days)).days in range(87, 92)

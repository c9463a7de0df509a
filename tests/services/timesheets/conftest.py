"""Ana's and Bob's March 2026, which both submitted."""

import pytest

from app.models.timesheets import PeriodKind
from app.services.timesheets import approvals, rules
from app.services.timesheets.cases import TimesheetName
from tests.support.credentials import create_claims
from tests.support.factories import OPERATOR, instant

APRIL = instant("2026-04-02 08:00")


@pytest.fixture
def people(people):
    people.records_events = True
    return people


@pytest.fixture
def ada(people):
    return people.admin("Ada")


@pytest.fixture
def bob(people):
    return people.employee("Bob")


@pytest.fixture
def monthly(database, ada):
    """The rule that a timesheet is a month, from January 2024 on."""
    author = type(OPERATOR)(ada.id, OPERATOR.role, "UTC")
    with database.write_transaction("request-1") as session:
        rules.set_rule(session, author, instant("2024-01-01 00:00").date(), PeriodKind.month, at=APRIL)


@pytest.fixture
def march(database, people, ana, bob, website, monthly):
    """Four entries of Ana, two of them in other time zones on the edges of March, and one of Bob. Returns their ids."""
    entries = [
        people.entry(ana, website, "2026-02-28 12:30", "2026-02-28 13:30", time_zone="Pacific/Kiritimati"),
        people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00", description="Überstunden"),
        people.entry(ana, website, "2026-03-02 12:00", "2026-03-02 12:00"),
        people.entry(ana, website, "2026-04-01 05:00", "2026-04-01 06:00", time_zone="Pacific/Honolulu"),
        people.entry(bob, website, "2026-03-02 08:00", "2026-03-02 12:00"),
    ]
    people.entry(ana, website, "2026-03-31 23:00", "2026-03-31 23:30", time_zone="Asia/Tokyo")  # already in April
    for user in (ana, bob):
        name = TimesheetName(user.id, instant("2026-03-01 00:00").date())
        with database.write_transaction("request-2") as session:
            approvals.submit(session, create_claims(database, user, is_recorded=True), name, reason=None, at=APRIL)
    return entries

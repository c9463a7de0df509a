"""The company of the timesheet tests: months from January 2026 on, and entries in them."""

import pytest

RULE = "/admin/timesheet-rules"


@pytest.fixture
def people(people):
    people.records_events = True
    return people


@pytest.fixture
def monthly(admin):
    """The rule of the company: a timesheet is a month, from January 2026 on."""
    answer = admin.put(f"{RULE}/2026-01-01", json={"period": "month"})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def march(people, ana, website, monthly):
    """Two entries of Ana in March 2026, with five hours in all. Returns their ids."""
    return [
        people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00", description="Landing page"),
        people.entry(ana, website, "2026-03-31 22:00", "2026-03-31 23:00"),
    ]


def sheet_path(user, first_day="2026-03-01", action=""):
    return f"/timesheets/{user.id}/{first_day}" + (f"/{action}" if action else "")

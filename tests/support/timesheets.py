"""Timesheets created without HTTP."""

from datetime import date

from app.core.database.session import Database
from app.core.time.clock import utc_now
from app.models.timesheets import PeriodKind
from app.models.users import Role, User
from app.services.access.actor import Actor
from app.services.timesheets import approvals, rules
from app.services.timesheets.cases import TimesheetName
from tests.support.credentials import create_claims


def submit_month(database: Database, user: User, first_day: date) -> None:
    """Let timesheets be months from this day on, and submit this month of the user, whose entries are then locked."""
    set_months(database, user, first_day)
    submit(database, user, first_day)


def set_months(database: Database, admin: User, *first_days: date) -> None:
    """Let timesheets be months from each of these days on."""
    actor = Actor(admin.id or 0, Role.admin, admin.time_zone, session_id=1)
    for first_day in first_days:
        with database.write_transaction("test") as session:
            rules.set_rule(session, actor, first_day, PeriodKind.month, at=utc_now())


def submit(database: Database, user: User, first_day: date, *, approved_by: User | None = None) -> None:
    """Submit a timesheet of the user, and approve it if a user is given who does."""
    name = TimesheetName(user.id or 0, first_day)
    claims = create_claims(database, user, is_recorded=True)
    with database.write_transaction("test") as session:
        approvals.submit(session, claims, name, reason=None, at=utc_now())
    if approved_by is not None:
        manager = create_claims(database, approved_by, is_recorded=True)
        with database.write_transaction("test") as session:
            approvals.approve(session, manager, name, comment=None, at=utc_now())

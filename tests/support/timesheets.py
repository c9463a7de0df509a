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
    admin = Actor(user.id or 0, Role.admin, user.time_zone, session_id=1)
    claims = create_claims(database, user, is_recorded=True)
    with database.write_transaction("test") as session:
        rules.set_rule(session, admin, first_day, PeriodKind.month, at=utc_now())
    with database.write_transaction("test") as session:
        approvals.submit(session, claims, TimesheetName(user.id or 0, first_day), reason=None, at=utc_now())

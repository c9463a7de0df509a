"""Locks on days: an entry that starts on a locked day is not added, changed or deleted.

A user's day is locked while its timesheet is submitted or approved, and everybody's days before the lock date are. The
local day of an entry's start counts, in the entry's own time zone. Punches need no check: a timesheet is submitted when
its period is over, and nobody's present day is before the lock date.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, bindparam, select

from app.core.database.execution_options import SEND_FIRST, Statements
from app.core.database.postgresql.operations import key_lock
from app.core.database.session import DatabaseUnavailable, Session
from app.core.errors import Conflict
from app.core.time.zones import local_day
from app.models.tables import PAYROLL_LOCK, TIMESHEET
from app.models.timesheets import ENTRIES_LOCK, TimesheetStatus

LOCKED = (TimesheetStatus.submitted, TimesheetStatus.approved)
_KEY = "payroll rules"
_LOCK, _SHARE = key_lock(_KEY), key_lock(_KEY, shared=True)
_WAYS_OUT = {
    TimesheetStatus.submitted: "Withdraw it, or ask your manager to reject it.",
    TimesheetStatus.approved: "Ask your manager to reopen it.",
}
_DAYS_QUERY = (
    select(PAYROLL_LOCK.c.before_day, *TIMESHEET.c["user_id", "first_day", "last_day", "status", "returned_at"])
    .outerjoin_from(PAYROLL_LOCK, TIMESHEET, TIMESHEET.c.user_id.in_(bindparam("user_ids", expanding=True)))
    .where(PAYROLL_LOCK.c.name == ENTRIES_LOCK)
)


class PeriodLocked(Conflict):
    code = "period_locked"
    title = "Period locked"


class EntryLocked(Conflict):
    code = "entry_locked"
    title = "Entry locked"


class TimesheetLocked(Conflict):
    code = "timesheet_locked"
    title = "Timesheet locked"


@dataclass(frozen=True, slots=True)
class _Days:
    """The lock date, and a user's timesheets that were submitted at least once."""

    before_day: date | None
    timesheets: list[Row[Any]]

    def timesheet_of(self, day: date) -> Row[Any] | None:
        return next((sheet for sheet in self.timesheets if sheet.first_day <= day <= sheet.last_day), None)

    def locked_timesheet_of(self, day: date) -> Row[Any] | None:
        sheet = self.timesheet_of(day)
        return sheet if sheet is not None and sheet.status in LOCKED else None


def day_of(start: datetime, zone: str) -> date:
    """Return the local day to which an entry counts, with its start and its time zone."""
    return local_day(int(start.timestamp()), zone)


def check(session: Session, user_id: int, day: date) -> None:
    """Raise PeriodLocked if the day is locked for the user. The user's row must be locked.

    The lock date and the rules do not change until the commit. The days of a user are read once in a transaction.
    """
    days = _days(session, user_id)
    if (sheet := days.locked_timesheet_of(day)) is not None:
        detail = f"The timesheet from {sheet.first_day} is {sheet.status}. {_WAYS_OUT[sheet.status]}"
        raise PeriodLocked(detail, **_facts(sheet))
    if days.before_day is not None and day < days.before_day:
        raise PeriodLocked(
            f"Days before {days.before_day} are locked for payroll. Ask an admin.", before_day=str(days.before_day)
        )


def is_returned(session: Session, user_id: int, day: date) -> bool:
    """Return True if the day's timesheet was rejected or reopened, and so waits for a correction by its user."""
    sheet = _days(session, user_id).timesheet_of(day)
    return sheet is not None and sheet.status not in LOCKED and sheet.returned_at is not None


def check_present_day(session: Session, user_id: int, zone: str, *, at: datetime) -> None:
    """Raise TimesheetLocked if the user's present day in this time zone is in a locked timesheet, or before one.

    A punch would then book on a locked day, now or later. Call it where a user gets another time zone, or is activated.
    """
    day = day_of(at, zone)
    locked = (sheet for sheet in _days(session, user_id).timesheets if sheet.status in LOCKED)
    sheet = next((sheet for sheet in locked if day <= sheet.last_day), None)
    if sheet is not None:
        raise TimesheetLocked(
            f"Today would be in or before the timesheet from {sheet.first_day}, which is {sheet.status}. "
            "Reject or reopen it first.",
            **_facts(sheet),
        )


def share_rules() -> dict[str, Statements]:
    """Return execution options that keep the timesheet rules and the lock date unchanged until the commit."""
    return {SEND_FIRST: [_SHARE]}


def lock_rules() -> dict[str, Statements]:
    """Return execution options for a change of the rules or the lock date. It waits for all who share them."""
    return {SEND_FIRST: [_LOCK]}


def lock_date_missing() -> DatabaseUnavailable:
    """Return the error for a missing row of the lock date. It is then unknown which days are locked."""
    return DatabaseUnavailable(
        f"The row {ENTRIES_LOCK} of payroll_lock is missing. Ask the operator to restore a backup."
    )


def preload(session: Session, user_ids: Collection[int]) -> None:
    """Read the lock date and the timesheets of these users, in one statement."""
    known: dict[int, _Days] = session.info.setdefault("locked_days", {})
    missing = [user_id for user_id in user_ids if user_id not in known]
    if not missing:
        return
    options = share_rules() if session.writes else {}
    rows = session.execute(_DAYS_QUERY, {"user_ids": missing}, execution_options=options).all()
    if not rows:
        raise lock_date_missing()
    timesheets = defaultdict(list)
    for row in rows:
        timesheets[row.user_id].append(row)
    known |= {user_id: _Days(rows[0].before_day, timesheets[user_id]) for user_id in missing}


def _facts(sheet: Row[Any]) -> dict[str, str]:
    """Return what an error says of the timesheet in the way."""
    days = {"first_day": str(sheet.first_day), "last_day": str(sheet.last_day)}
    return days | {"timesheet_status": sheet.status}


def _days(session: Session, user_id: int) -> _Days:
    preload(session, [user_id])
    known: dict[int, _Days] = session.info["locked_days"]
    return known[user_id]

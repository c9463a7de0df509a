"""The timesheets that touch a month, as its sheet prints them: what was decided, and why sums differ.

An entry counts whole to the timesheet in which it starts. The month sheet splits it at midnight. So their sums differ
by the entries that start on one side of a timesheet's edge and end on the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select

from app.core.database.session import Session
from app.models.tables import ENTRY, TIMESHEET, USER, full_name
from app.models.timesheets import TimesheetStatus
from app.services.calendar.periods import Period
from app.services.period_locks import LOCKED, day_of
from app.services.reports.user_days import UserDay
from app.services.timesheets.contents import MARGIN
from app.services.timesheets.periods import load_rules, periods_touching

_DAY = timedelta(days=1)
_DECIDER = USER.alias("decider")
_SHEETS = select(
    *TIMESHEET.c["first_day", "status", "decided_at", "total_seconds", "digest"],
    full_name(_DECIDER).label("decided_by"),
).outerjoin_from(TIMESHEET, _DECIDER, _DECIDER.c.id == TIMESHEET.c.decided_by)
_CROSSING = select(*ENTRY.c["id", "start_time", "end_time", "time_zone"]).order_by(ENTRY.c.start_time, ENTRY.c.id)


class CrossingEntry(NamedTuple):
    """An entry that starts on one side of an edge of a timesheet and ends on the other."""

    id: int
    start_time: datetime
    end_time: datetime
    time_zone: str


@dataclass(frozen=True, slots=True)
class MonthApproval:
    """A timesheet that touches the month. Its seconds and digest are None unless it is submitted or approved."""

    first_day: date
    last_day: date
    status: TimesheetStatus = TimesheetStatus.open
    decided_at: datetime | None = None
    decided_by: str | None = None
    total_seconds: int | None = None
    digest: str | None = None
    crossing: list[CrossingEntry] = field(default_factory=list)
    """The entries over its edges, if its seconds are not those of its days in the month."""


def load(session: Session, user_id: int, period: Period, days: Sequence[UserDay[Any]]) -> list[MonthApproval]:
    """Return the timesheets that touch the month, oldest first, also those that were never submitted.

    `days` are those of the month, with entries split at midnight.
    """
    periods = list(periods_touching(load_rules(session), period.start, period.end))
    of_user = and_(TIMESHEET.c.user_id == user_id, TIMESHEET.c.first_day.in_([each.first_day for each in periods]))
    sheets = {row.first_day: row for row in session.execute(_SHEETS.where(of_user))}
    approvals = []
    for each in periods:
        if (sheet := sheets.get(each.first_day)) is None:
            approvals.append(MonthApproval(each.first_day, each.last_day))
            continue
        counted = sum(day.total_seconds for day in days if each.first_day <= day.date <= each.last_day)
        differs = sheet.status in LOCKED and sheet.total_seconds != counted
        crossing = _crossing(session, user_id, each.first_day, each.last_day) if differs else []
        values = (sheet.status, sheet.decided_at, sheet.decided_by, sheet.total_seconds, sheet.digest)
        approvals.append(MonthApproval(each.first_day, each.last_day, *values, crossing))
    return approvals


def _crossing(session: Session, user_id: int, first_day: date, last_day: date) -> list[CrossingEntry]:
    is_near = or_(_is_near(first_day), _is_near(last_day + _DAY))
    rows = session.execute(_CROSSING.where(ENTRY.c.user_id == user_id, is_near))
    return [CrossingEntry(*row) for row in rows if _crosses(CrossingEntry(*row), first_day, last_day)]


def _is_near(day: date) -> ColumnElement[bool]:
    """Return the condition that an entry may extend over the start of the day."""
    start = datetime.combine(day, time.min, UTC)
    return and_(ENTRY.c.start_time < start + MARGIN, ENTRY.c.end_time > start - MARGIN)


def _crosses(entry: CrossingEntry, first_day: date, last_day: date) -> bool:
    if entry.end_time == entry.start_time:
        return False
    start = day_of(entry.start_time, entry.time_zone)
    end = day_of(entry.end_time - timedelta(seconds=1), entry.time_zone)
    return start < first_day <= end or start <= last_day < end

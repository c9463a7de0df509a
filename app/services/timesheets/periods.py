"""Periods of timesheets. Rules divide the calendar into them, without gaps, from the first rule on."""

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select

from app.core.database.session import Session
from app.models.tables import TIMESHEET_RULE
from app.models.timesheets import PeriodKind
from app.services.period_locks import share_rules
from app.services.timesheets.errors import TimesheetNotFound

_DAY = timedelta(days=1)
_DAYS = {PeriodKind.week: 7, PeriodKind.two_weeks: 14}
_RULES_QUERY = select(*TIMESHEET_RULE.c["valid_from", "period"]).order_by(TIMESHEET_RULE.c.valid_from)


@dataclass(frozen=True, slots=True)
class TimesheetPeriod:
    """Local days from the first to the last, both included."""

    first_day: date
    last_day: date
    kind: PeriodKind

    def touches(self, start: date, end: date) -> bool:
        return self.first_day <= end and self.last_day >= start


Rules = Mapping[date, PeriodKind]
"""The kind of period by the day from which it holds, in ascending order. Without a rule there are no timesheets."""


def load_rules(session: Session) -> Rules:
    """Return the rules. In a write transaction, they do not change until the commit."""
    options: Mapping[str, Any] = share_rules() if session.writes else {}
    return {row.valid_from: row.period for row in session.execute(_RULES_QUERY, execution_options=options)}


def kind_on(rules: Rules, day: date) -> PeriodKind:
    """Return the kind of the period that contains the day. Raises LookupError before the first rule."""
    return rules[max(valid_from for valid_from in rules if valid_from <= day)]


def can_start(kind: PeriodKind, day: date) -> bool:
    """Return True if a rule of this kind can begin on the day: a month on a 1st, half a month on a 1st or 16th."""
    match kind:
        case PeriodKind.month:
            return day.day == 1
        case PeriodKind.half_month:
            return day.day in (1, 16)
        case _:
            return True


def periods_touching(rules: Rules, start: date, end: date) -> Iterator[TimesheetPeriod]:
    """Yield the periods with at least one day from `start` to `end`, oldest first."""
    days = list(rules)
    for number, valid_from in enumerate(days):
        last = days[number + 1] - _DAY if number + 1 < len(days) else date.max
        if valid_from <= end and last >= start:
            yield from _periods_of_rule(valid_from, min(last, end + timedelta(days=31)), rules[valid_from], start, end)


def period_from(rules: Rules, first_day: date) -> TimesheetPeriod | None:
    """Return the period that begins on this day, or None."""
    period = next(periods_touching(rules, first_day, first_day), None)
    return period if period is not None and period.first_day == first_day else None


def require_period(rules: Rules, first_day: date) -> TimesheetPeriod:
    """Return the period that begins on this day. Raises TimesheetNotFound."""
    period = period_from(rules, first_day)
    if period is None:
        raise TimesheetNotFound(f"No period begins on {first_day}. GET /timesheets/me lists yours.")
    return period


def _periods_of_rule(
    valid_from: date, last: date, kind: PeriodKind, start: date, end: date
) -> Iterator[TimesheetPeriod]:
    first = _first_before(valid_from, kind, start)
    while first <= min(last, end):
        period = TimesheetPeriod(first, min(_last_day(first, kind), last), kind)
        if period.last_day >= start:
            yield period
        first = period.last_day + _DAY


def _first_before(valid_from: date, kind: PeriodKind, day: date) -> date:
    """Return the start of the last period of the rule at or before the day, but no earlier than its first."""
    if day <= valid_from:
        return valid_from
    if (length := _DAYS.get(kind)) is not None:
        return day - (day - valid_from) % timedelta(days=length)
    if kind is PeriodKind.half_month and day.day >= 16:
        return day.replace(day=16)
    return max(valid_from, day.replace(day=1))


def _last_day(first: date, kind: PeriodKind) -> date:
    if (length := _DAYS.get(kind)) is not None:
        return first + timedelta(days=length - 1)
    if kind is PeriodKind.half_month and first.day < 16:
        return first.replace(day=15)
    return first.replace(day=monthrange(first.year, first.month)[1])

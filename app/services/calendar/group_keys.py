"""Days, ISO weeks, months and weekdays of a period as numbers, which a database makes from a day by arithmetic."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement

from app.schemas.reports.summary import SummaryGroup
from app.services.calendar.local_time import LocalTime, case_steps
from app.services.calendar.periods import Period

CALENDAR_GROUPS = frozenset({SummaryGroup.day, SummaryGroup.week, SummaryGroup.month, SummaryGroup.weekday})
_EPOCH = date(1970, 1, 1)
_MONDAY_SHIFT = 3
"""1970-01-01 was a Thursday: what there is to add to a day, in days since then, for weeks that begin on Mondays."""


class CalendarKeys:
    """The keys of a period's days: as numbers in a statement, and as an answer shows them."""

    def __init__(self, period: Period) -> None:
        count = (period.end - period.start).days + 1
        self._days = [period.start + timedelta(days=number) for number in range(count)]
        self._months = [
            (day, _key(SummaryGroup.month, day)) for day in self._days if day.day == 1 or day == period.start
        ]

    def key_of_instant(self, group: SummaryGroup, local: LocalTime, instant: ColumnElement[Any]) -> ColumnElement[int]:
        """The key of the local day of an entry's instant, which lies in the period."""
        if group is SummaryGroup.month:  # compared as it is stored, without telling the day first
            return local.value_since(instant, self._months)
        return self.key_of_day(group, local.day(instant))

    def key_of_day(self, group: SummaryGroup, day: ColumnElement[int]) -> ColumnElement[int]:
        """The key of a day of the period, given in days since 1970."""
        match group:
            case SummaryGroup.week:
                return (day + _MONDAY_SHIFT) // 7
            case SummaryGroup.month:
                return case_steps(day, [((first - _EPOCH).days, month) for first, month in self._months])
            case SummaryGroup.weekday:
                return (day + _MONDAY_SHIFT) % 7 + 1
            case _:
                return day

    def combinations(self, groups: Sequence[SummaryGroup]) -> list[tuple[int, ...]]:
        """Every combination of these groups' keys that a day of the period has; with no group, the empty one."""
        return list(dict.fromkeys(tuple(_key(group, day) for group in groups) for day in self._days))

    def labels(self, group: SummaryGroup) -> dict[int, date | str | int]:
        """The group's keys as an answer shows them, by their numbers."""
        return {_key(group, day): _label(group, day) for day in self._days}


def _key(group: SummaryGroup, day: date) -> int:
    days = (day - _EPOCH).days
    match group:
        case SummaryGroup.week:
            return (days + _MONDAY_SHIFT) // 7
        case SummaryGroup.month:
            return day.year * 12 + day.month
        case SummaryGroup.weekday:
            return day.isoweekday()
        case _:
            return days


def _label(group: SummaryGroup, day: date) -> date | str | int:
    match group:
        case SummaryGroup.week:
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02}"
        case SummaryGroup.month:
            return f"{day:%Y-%m}"
        case SummaryGroup.weekday:
            return day.isoweekday()
        case _:
            return day

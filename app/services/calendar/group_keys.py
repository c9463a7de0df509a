"""Days, ISO weeks, months and weekdays of a period as numbers, which a database makes from a day by arithmetic."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement

from app.schemas.reports.summary import Group
from app.services.calendar.local_time import LocalTime, stepped
from app.services.calendar.periods import Period

OF_CALENDAR = frozenset({Group.day, Group.week, Group.month, Group.weekday})
_EPOCH = date(1970, 1, 1)
_MONDAY = 3
"""1970-01-01 was a Thursday: what there is to add to a day, in days since then, for weeks that begin on Mondays."""


class CalendarKeys:
    """The keys of a period's days: as numbers in a statement, and as an answer shows them."""

    def __init__(self, period: Period) -> None:
        count = (period.end - period.start).days + 1
        self._days = [period.start + timedelta(days=number) for number in range(count)]
        self._months = [(day, _number(Group.month, day)) for day in self._days if day.day == 1 or day == period.start]

    def of_instant(self, group: Group, local: LocalTime, instant: ColumnElement[Any]) -> ColumnElement[int]:
        """The key of the local day of an entry's instant, which lies in the period."""
        if group is Group.month:  # compared as it is stored, without telling the day first
            return local.since(instant, self._months)
        return self.of_day(group, local.day(instant))

    def of_day(self, group: Group, day: ColumnElement[int]) -> ColumnElement[int]:
        """The key of a day of the period, given in days since 1970."""
        match group:
            case Group.week:
                return (day + _MONDAY) // 7
            case Group.month:
                return stepped(day, [((first - _EPOCH).days, month) for first, month in self._months])
            case Group.weekday:
                return (day + _MONDAY) % 7 + 1
            case _:
                return day

    def all_of(self, groups: Sequence[Group]) -> list[tuple[int, ...]]:
        """Every combination of these groups' keys that a day of the period has; with no group, the empty one."""
        return list(dict.fromkeys(tuple(_number(group, day) for group in groups) for day in self._days))

    def shown(self, group: Group) -> dict[int, date | str | int]:
        """The group's keys as an answer shows them, by their numbers."""
        return {_number(group, day): _shown(group, day) for day in self._days}


def _number(group: Group, day: date) -> int:
    days = (day - _EPOCH).days
    match group:
        case Group.week:
            return (days + _MONDAY) // 7
        case Group.month:
            return day.year * 12 + day.month
        case Group.weekday:
            return day.isoweekday()
        case _:
            return days


def _shown(group: Group, day: date) -> date | str | int:
    match group:
        case Group.week:
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02}"
        case Group.month:
            return f"{day:%Y-%m}"
        case Group.weekday:
            return day.isoweekday()
        case _:
            return day

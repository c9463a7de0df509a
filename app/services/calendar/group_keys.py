"""Integer keys for the days, ISO weeks, months and weekdays of a period, which a statement computes from a day."""

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
"""Days to add to a day number (days since 1970) so that weeks begin on Monday. 1970-01-01 was a Thursday."""


class CalendarKeys:
    """The keys of a period's days: integers in a statement, labels in a response."""

    def __init__(self, period: Period) -> None:
        count = (period.end - period.start).days + 1
        self._days = [period.start + timedelta(days=number) for number in range(count)]
        self._months = [
            (day, _key(SummaryGroup.month, day)) for day in self._days if day.day == 1 or day == period.start
        ]

    def key_of_instant(self, group: SummaryGroup, local: LocalTime, instant: ColumnElement[Any]) -> ColumnElement[int]:
        """Return the key of the local day of an instant inside the period."""
        if group is SummaryGroup.month:  # compares the stored instant, without computing the local day first
            return local.value_since(instant, self._months)
        return self.key_of_day(group, local.day(instant))

    def key_of_day(self, group: SummaryGroup, day: ColumnElement[int]) -> ColumnElement[int]:
        """Return the key of a day of the period, given in days since 1970."""
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
        """Return the distinct combinations of the groups' keys over the days of the period.

        Without groups, return one empty combination.
        """
        return list(dict.fromkeys(tuple(_key(group, day) for group in groups) for day in self._days))

    def labels(self, group: SummaryGroup) -> dict[int, date | str | int]:
        """Return the labels that a response shows, by key."""
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

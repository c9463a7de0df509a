"""Local days and local times of instants, computed inside a statement.

Python computes the UTC offsets of each zone. The statement compares an instant with the instants at which the offset
changes, and adds the offset. The time zone tables of the database are not used.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import copy
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, case, literal_column

from app.core.database.column_types import Instant
from app.core.database.dialect import epoch, from_epoch, wall_time
from app.core.time.zones import DAY_SECONDS, OffsetPeriod, day_start_epoch, offset_periods
from app.models.tables import ENTRY
from app.services.calendar.periods import ResolvedPeriod

OffsetPeriods = tuple[OffsetPeriod, ...]
LiteralRenderer = Callable[[int], ColumnElement[Any]]


def _literal_int(number: int) -> ColumnElement[int]:
    """Return a literal, because SQLite accepts at most 32,766 parameters and 600 zones need more."""
    return literal_column(str(number), BigInteger)


def _literal_instant(second: int) -> ColumnElement[datetime]:
    return from_epoch(_literal_int(second))


def _literal_for(value: ColumnElement[Any]) -> LiteralRenderer:
    """Return the function that renders a second for comparison with the value, a stored instant or a second."""
    return _literal_instant if isinstance(value.type, Instant) else _literal_int


class LocalTime:
    """Local time of the entries of a period: in the period's zone if it has one, else in each entry's own zone."""

    def __init__(self, resolved: ResolvedPeriod, *, until: int | None = None) -> None:
        """Compute the UTC offsets of the period, or up to `until`, in seconds since 1970."""
        self._zone: ColumnElement[str] = ENTRY.c.time_zone
        self._first_day = days_since_1970(resolved.period.start)
        self._zones_by_offsets: dict[OffsetPeriods, list[str]] = defaultdict(list)
        for zone in resolved.zones:
            offsets = offset_periods(resolved.offsets_from, until or resolved.offsets_until, zone)
            self._zones_by_offsets[tuple(offsets)].append(zone)
        self._utc_offsets = tuple(offset_periods(resolved.offsets_from, resolved.offsets_until, "UTC"))

    def with_zone(self, zone: ColumnElement[str]) -> "LocalTime":
        """Return a copy that reads the entry's zone from another column."""
        other = copy(self)
        other._zone = zone
        return other

    def local_timestamp(
        self, instant: ColumnElement[Any], kind: Literal["time", "day"] = "time"
    ) -> ColumnElement[datetime]:
        """Return the local time of a stored instant. With `kind` "day", return a timestamp on its local day.

        The two dates differ only where a clock is set back across midnight. The repeated minutes belong to the new day.
        """
        return wall_time(instant, self._offset(instant, "offset" if kind == "time" else "day_offset"))

    def day(self, instant: ColumnElement[Any]) -> ColumnElement[int]:
        """Return the local day, in days since 1970, of a stored instant or of a second since 1970.

        The result is the same as that of `zones.local_day`.
        """
        second = epoch(instant) if isinstance(instant.type, Instant) else instant
        return (second + self._offset(instant, "day_offset")) // DAY_SECONDS

    def value_since(self, instant: ColumnElement[Any], values: Sequence[tuple[date, int]]) -> ColumnElement[int]:
        """Return the value of the last of these days that has begun at the instant, else the first value."""
        return self._by_zone(
            lambda zone, _: case_steps(
                instant, [(day_start_epoch(day, zone), value) for day, value in values], _literal_for(instant)
            )
        )

    def day_start(self, day: ColumnElement[int]) -> ColumnElement[int]:
        """Return the start of a local day in seconds since 1970, as `day_start_epoch` does.

        The day must be in the period, or the day after it.
        """
        return day * DAY_SECONDS - self._by_zone(
            lambda zone, offsets: case_steps(day, _day_start_steps(self._first_day, offsets, zone))
        )

    def _offset(self, instant: ColumnElement[Any], name: str) -> ColumnElement[int]:
        as_literal = _literal_for(instant)
        return self._by_zone(lambda _, offsets: case_steps(instant, _offset_steps(offsets, name), as_literal))

    def _by_zone(self, value: Callable[[str, OffsetPeriods], ColumnElement[Any]]) -> ColumnElement[Any]:
        values = [(zones, value(zones[0], offsets)) for offsets, zones in self._zones_by_offsets.items()]
        if len(values) == 1:
            return values[0][1]
        # A zone that SQL stored in an entry. With NULL instead, the reports of all users would fail.
        unknown = value("UTC", self._utc_offsets)
        return case(*((self._zone.in_(zones), each) for zones, each in values), else_=unknown)


def days_since_1970(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()


def date_from_days(number: int) -> date:
    """Return the date that is `number` days after 1970-01-01."""
    return date.fromordinal(number + date(1970, 1, 1).toordinal())


def _offset_steps(offsets: OffsetPeriods, name: str) -> list[tuple[int, int]]:
    """Return each second at which the offset changes, with the new offset. The first also holds before its second."""
    steps: list[tuple[int, int]] = []
    for offset_period in offsets:
        if not steps or steps[-1][1] != getattr(offset_period, name):
            steps.append((offset_period.start, getattr(offset_period, name)))
    return steps


def _day_start_steps(first_day: int, offsets: OffsetPeriods, zone: str) -> list[tuple[int, int]]:
    """Return each day at which the shift changes, with the new shift.

    The shift is the number of seconds by which a local day begins before the same day in UTC.
    """
    steps: list[tuple[int, int]] = []
    nearby_days = (
        max(first_day, offset_period.start // DAY_SECONDS + distance)
        for offset_period in offsets
        for distance in range(-2, 4)
    )
    for day in sorted({first_day, *nearby_days}):
        shift_seconds = day * DAY_SECONDS - day_start_epoch(date_from_days(day), zone)
        if not steps or steps[-1][1] != shift_seconds:
            steps.append((day, shift_seconds))
    return steps


def case_steps(
    value: ColumnElement[Any], steps: Sequence[tuple[int, int]], as_literal: LiteralRenderer = _literal_int
) -> ColumnElement[int]:
    """Return the result of the last step at or before the value, else that of the first step.

    The CASE expressions form a binary search, because a century of offset changes has about 200 steps.
    """
    if len(steps) == 1:
        return _literal_int(steps[0][1])
    middle = len(steps) // 2
    halves = (case_steps(value, half, as_literal) for half in (steps[:middle], steps[middle:]))
    return case((value < as_literal(steps[middle][0]), next(halves)), else_=next(halves))

"""Local days and times of instants, told inside a statement by adding numbers that Python worked out zone by zone.

No database does zone arithmetic: it compares an instant with those at which a zone's clock changes, and adds.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import copy
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, case, literal_column

from app.core.database.column_types import Instant
from app.core.database.dialect import epoch, from_epoch, wall_time
from app.core.time.zones import DAY_SECONDS, WallClock, day_second, wall_clocks
from app.models.tables import ENTRY
from app.services.calendar.periods import ResolvedPeriod

Clocks = tuple[WallClock, ...]
Written = Callable[[int], ColumnElement[Any]]


def _whole(number: int) -> ColumnElement[int]:
    """Written into the statement: SQLite takes no more than 32,766 parameters, and six hundred zones have more."""
    return literal_column(str(number), BigInteger)


def _instant(second: int) -> ColumnElement[datetime]:
    return from_epoch(_whole(second))


def _step_for(value: ColumnElement[Any]) -> Written:
    """How a second is written to be compared with the value: a stored instant, or a second itself."""
    return _instant if isinstance(value.type, Instant) else _whole


class LocalTime:
    """What the walls show at the instants of entries that belong to a period: in its zone, else in each entry's own."""

    def __init__(self, resolved: ResolvedPeriod) -> None:
        self._zone: ColumnElement[str] = ENTRY.c.time_zone
        self._first_day = days_since_1970(resolved.period.start)
        self._zones_by_clocks: dict[Clocks, list[str]] = defaultdict(list)
        for zone in resolved.zones:
            clocks = wall_clocks(resolved.clocks_from, resolved.clocks_until, zone)
            self._zones_by_clocks[tuple(clocks)].append(zone)

    def of_zone(self, zone: ColumnElement[str]) -> "LocalTime":
        """The same where an entry's zone stands in another column."""
        other = copy(self)
        other._zone = zone
        return other

    def wall(self, instant: ColumnElement[Any], of: Literal["time", "day"] = "time") -> ColumnElement[datetime]:
        """What the wall shows at a stored instant: its time, or one that has the local day for its date.

        The two differ while a clock that was set back over midnight strikes the same minutes again.
        """
        return wall_time(instant, self._offset(instant, "offset" if of == "time" else "day_offset"))

    def day(self, instant: ColumnElement[Any]) -> ColumnElement[int]:
        """The local day of a stored instant, or of a second since 1970, in days since 1970: `zones.local_day`."""
        second = epoch(instant) if isinstance(instant.type, Instant) else instant
        return (second + self._offset(instant, "day_offset")) // DAY_SECONDS

    def since(self, instant: ColumnElement[Any], figures: Sequence[tuple[date, int]]) -> ColumnElement[int]:
        """The figure of the last of these days that had begun; the first stands for all before, too."""
        return self._by_zone(
            lambda zone, _: stepped(
                instant, [(day_second(day, zone), figure) for day, figure in figures], _step_for(instant)
            )
        )

    def begins(self, day: ColumnElement[int]) -> ColumnElement[int]:
        """The second since 1970 at which a local day of the period, or the one behind it, begins: `day_second`."""
        return day * DAY_SECONDS - self._by_zone(
            lambda zone, clocks: stepped(day, _day_steps(self._first_day, clocks, zone))
        )

    def _offset(self, instant: ColumnElement[Any], name: str) -> ColumnElement[int]:
        as_step = _step_for(instant)
        return self._by_zone(lambda _, clocks: stepped(instant, _steps(clocks, name), as_step))

    def _by_zone(self, value: Callable[[str, Clocks], ColumnElement[Any]]) -> ColumnElement[Any]:
        values = [(zones, value(zones[0], clocks)) for clocks, zones in self._zones_by_clocks.items()]
        if len(values) == 1:
            return values[0][1]
        return case(*((self._zone.in_(zones), each) for zones, each in values))


def days_since_1970(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()


def day_of(number: int) -> date:
    """The day that is so many days after 1970-01-01."""
    return date.fromordinal(number + date(1970, 1, 1).toordinal())


def _steps(clocks: Clocks, name: str) -> list[tuple[int, int]]:
    """The seconds at which the figure changes, each with the new one; the first stands for all before, too."""
    steps: list[tuple[int, int]] = []
    for clock in clocks:
        if not steps or steps[-1][1] != getattr(clock, name):
            steps.append((clock.begins, getattr(clock, name)))
    return steps


def _day_steps(first_day: int, clocks: Clocks, zone: str) -> list[tuple[int, int]]:
    """The days from which on a day begins by another figure before the same day in UTC, with that figure."""
    steps: list[tuple[int, int]] = []
    around = (max(first_day, clock.begins // DAY_SECONDS + near) for clock in clocks for near in range(-2, 4))
    for day in sorted({first_day, *around}):
        earlier_by = day * DAY_SECONDS - day_second(day_of(day), zone)
        if not steps or steps[-1][1] != earlier_by:
            steps.append((day, earlier_by))
    return steps


def stepped(
    value: ColumnElement[Any], steps: Sequence[tuple[int, int]], as_step: Written = _whole
) -> ColumnElement[int]:
    """The figure of the last step at or before the value, found by halving: a century has two hundred."""
    if len(steps) == 1:
        return _whole(steps[0][1])
    middle = len(steps) // 2
    halves = (stepped(value, half, as_step) for half in (steps[:middle], steps[middle:]))
    return case((value < as_step(steps[middle][0]), next(halves)), else_=next(halves))

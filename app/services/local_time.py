"""Local days and times of instants, told inside a statement by adding numbers that Python worked out zone by zone.

No database does zone arithmetic: it compares an instant with those at which a zone's clock changes, and adds.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import copy
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, case, func, literal, type_coerce

from app.core.db import Session
from app.core.time_zones import DAY_SECONDS, WallClock, day_second, day_start, wall_clocks
from app.models.types import Instant, WallTime
from app.services.periods import ENTRY, Period, unix_seconds, zones_of

Clocks = tuple[WallClock, ...]
_A_LITTLE = timedelta(days=3)  # by then the period's last day has ended everywhere
_AROUND = timedelta(days=1000)
"""How far before the period an entry that still runs may have started, and how far behind it and the present one may
end, and still be told rightly."""


def _whole(number: int) -> ColumnElement[int]:
    return literal(number, BigInteger)


def _seconds(number: int) -> ColumnElement[Any]:
    return func.make_interval(0, 0, 0, 0, 0, 0, number)


class LocalTime:
    """What the walls show at the instants of entries that belong to a period: in its zone, else in each entry's own."""

    def __init__(self, session: Session, period: Period, *, at: datetime | None = None) -> None:
        """For instants inside the period only, or at `at` also for those of entries that reach out of it."""
        self._session = session
        self._zone: ColumnElement[str] = ENTRY.c.time_zone
        before, end = (_A_LITTLE, period.end) if at is None else (_AROUND, max(at.date(), period.end))
        last = datetime.combine(end, time.max, UTC) + before
        self._first_day = days_since_1970(period.start)
        self._zones_by_clocks: dict[Clocks, list[str]] = defaultdict(list)
        for zone in zones_of(session, period):
            first = day_start(period.start, zone) - before
            clocks = wall_clocks(int(first.timestamp()), int(last.timestamp()), zone)
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
        name = "offset" if of == "time" else "day_offset"
        if self._session.settings.is_sqlite:
            return type_coerce(unix_seconds(self._session, instant) + self._offset(instant, name), WallTime)
        return func.timezone(
            self._offset(instant, name, lambda each: func.make_interval(0, 0, 0, 0, 0, 0, each)), instant
        )

    def day(self, instant: ColumnElement[Any]) -> ColumnElement[int]:
        """The local day of a stored instant, or of a second since 1970, in days since 1970: `time_zones.local_day`."""
        second = unix_seconds(self._session, instant) if isinstance(instant.type, Instant) else instant
        return (second + self._offset(instant, "day_offset")) // DAY_SECONDS

    def since(self, instant: ColumnElement[Any], figures: Sequence[tuple[date, int]]) -> ColumnElement[int]:
        """The figure of the last of these days that had begun; the first stands for all before, too."""
        return self._by_zone(
            lambda zone, _: stepped(instant, [(day_second(day, zone), figure) for day, figure in figures])
        )

    def begins(self, day: ColumnElement[int]) -> ColumnElement[int]:
        """The second since 1970 at which a local day of the period, or the one behind it, begins: `day_second`."""
        return day * DAY_SECONDS - self._by_zone(
            lambda zone, clocks: stepped(day, _day_steps(self._first_day, clocks, zone))
        )

    def _offset(
        self, instant: ColumnElement[Any], name: str, as_value: Callable[[int], ColumnElement[Any]] = _whole
    ) -> ColumnElement[Any]:
        return self._by_zone(lambda _, clocks: stepped(instant, _steps(clocks, name), as_value))

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
    value: ColumnElement[Any],
    steps: Sequence[tuple[int, int]],
    as_value: Callable[[int], ColumnElement[Any]] = _whole,
) -> ColumnElement[Any]:
    """The figure of the last step at or before the value, found by halving: a century has two hundred."""
    if len(steps) == 1:
        return as_value(steps[0][1])
    middle = len(steps) // 2
    step = steps[middle][0]
    is_stored = isinstance(value.type, Instant)
    begins = literal(datetime.fromtimestamp(step, UTC), Instant) if is_stored else _whole(step)
    halves = (stepped(value, half, as_value) for half in (steps[:middle], steps[middle:]))
    return case((value < begins, next(halves)), else_=next(halves))

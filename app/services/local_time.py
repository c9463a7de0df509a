"""Local days and times of instants, told inside a statement by adding numbers that Python worked out zone by zone.

No database does zone arithmetic: it compares an instant with those at which a zone's clock changes, and adds.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, case, literal, select

from app.core.db import Session
from app.core.time_zones import DAY_SECONDS, WallClock, day_second, wall_clocks
from app.models.types import Instant
from app.services.periods import ENTRY, ZONE, Period, unix_seconds

_AHEAD = timedelta(days=400)
"""How far behind the present, or behind the period, an entry's end may lie and still be told rightly."""


class LocalTime:
    """What the walls show at the instants of entries that belong to a period: in its zone, else in each entry's own."""

    def __init__(self, session: Session, period: Period, *, at: datetime) -> None:
        self._session = session
        if period.zone is not None:
            zones = [period.zone]
        else:
            zones = list(session.execute(select(ZONE.c.name).order_by(ZONE.c.name)).scalars())
        after = int((max(at, datetime(*period.end.timetuple()[:3], tzinfo=UTC)) + _AHEAD).timestamp())
        self._zones_by_clocks: dict[tuple[WallClock, ...], list[str]] = defaultdict(list)
        for zone in zones:
            self._zones_by_clocks[tuple(wall_clocks(day_second(period.start, zone), after, zone))].append(zone)

    def offset(self, instant: ColumnElement[Any], of: Literal["time", "day"] = "time") -> ColumnElement[int]:
        """Seconds to add to an instant in UTC to have the time that the wall shows, or one inside the local day.

        They differ while a clock that was set back over midnight strikes the same minutes again.
        """
        name = "offset" if of == "time" else "day_offset"
        by_zones = [(zones, _stepped(instant, _steps(clocks, name))) for clocks, zones in self._zones_by_clocks.items()]
        if len(by_zones) == 1:
            return by_zones[0][1]
        return case(*((ENTRY.c.time_zone.in_(zones), offset) for zones, offset in by_zones))

    def day(self, instant: ColumnElement[Any]) -> ColumnElement[int]:
        """The local day of an instant, or of a second since 1970, in days since 1970: `core.time_zones.local_day`."""
        second = unix_seconds(self._session, instant) if isinstance(instant.type, Instant) else instant
        return (second + self.offset(instant, "day")) // DAY_SECONDS


def _steps(clocks: Sequence[WallClock], name: str) -> list[tuple[int, int]]:
    """The seconds at which the figure changes, each with the new one; the first stands for all before, too."""
    steps: list[tuple[int, int]] = []
    for clock in clocks:
        if not steps or steps[-1][1] != getattr(clock, name):
            steps.append((clock.begins, getattr(clock, name)))
    return steps


def _stepped(instant: ColumnElement[Any], steps: Sequence[tuple[int, int]]) -> ColumnElement[int]:
    """The figure of the last step at or before the instant, found by halving: a century has two hundred."""
    if len(steps) == 1:
        return literal(steps[0][1], BigInteger)
    middle = len(steps) // 2
    second = steps[middle][0]
    is_stored = isinstance(instant.type, Instant)  # else it is in seconds already
    begins = literal(datetime.fromtimestamp(second, UTC), Instant) if is_stored else literal(second, BigInteger)
    return case((instant < begins, _stepped(instant, steps[:middle])), else_=_stepped(instant, steps[middle:]))

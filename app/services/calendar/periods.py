"""Periods: the days from a start to an end date, both included, as instants that a database can compare.

An entry keeps the zone its owner had when it was recorded, and belongs to the local day on which it starts there.
"""

from calendar import monthrange
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    and_,
    or_,
    select,
)

from app.core.database.session import Session
from app.core.errors import Invalid
from app.core.time.zones import day_range
from app.models.tables import ENTRY, TIME_ZONE

MAX_REPORT_DAYS = 400
_DEFAULT_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_ZONE_MARGIN = timedelta(days=3)  # by then the period's last day has ended everywhere
_ENTRY_MARGIN = timedelta(days=1000)
"""How far before the period an entry that still runs may have started, and how far behind it and the present one may
end, and still be told rightly."""
_ZONES_QUERY = select(TIME_ZONE.c.name).order_by(TIME_ZONE.c.name)
# And when the first and the last of all entries start: two steps down an index.
_ZONES_AND_ENTRY_RANGE_QUERY = _ZONES_QUERY.add_columns(
    select(ENTRY.c.start_time).order_by(ENTRY.c.start_time).limit(1).scalar_subquery().label("earliest"),
    select(ENTRY.c.start_time).order_by(ENTRY.c.start_time.desc()).limit(1).scalar_subquery().label("latest"),
)


class PeriodReversed(Invalid):
    code = "period_reversed"
    title = "Period ends before it starts"


class PeriodTooLong(Invalid):
    code = "period_too_long"
    title = "Period too long"


@dataclass(frozen=True, slots=True)
class Period:
    """Local days from `start` to `end`, both included; in `zone` if one is asked for, else in each entry's own."""

    start: date
    end: date
    zone: str | None = None

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise PeriodReversed("end_date lies before start_date. Swap them.")

    def require_at_most(self, days: int) -> "Period":
        """This period. Raises PeriodTooLong where it has more days."""
        if (self.end - self.start).days >= days:
            raise PeriodTooLong(f"At most {days} days at once. Ask for a shorter period.")
        return self


def month_period(month: str, zone: str | None) -> Period:
    """The days of a month such as `2026-03`."""
    first = date.fromisoformat(f"{month}-01")
    return Period(first, first.replace(day=monthrange(first.year, first.month)[1]), zone)


Bounds = dict[tuple[datetime, datetime], list[str]]


@dataclass(frozen=True)
class ResolvedPeriod:
    """A period, and all that a statement must be told of the zones whose days it has: no database knows zones."""

    period: Period
    zones: list[str]
    """The zone that is asked for, else all that entries can carry."""
    offsets_from: int
    offsets_until: int
    """The seconds since 1970 between which it is known what the clocks of the zones show."""

    @cached_property
    def bounds(self) -> Bounds:
        """The half-open intervals of the period, each with the zones of entries for which it is the one.

        Python turns days into instants, zone by zone; the database only compares. Zones whose days coincide share a
        term.
        """
        zones_by_bounds: Bounds = defaultdict(list)
        for zone in self.zones:
            zones_by_bounds[day_range(self.period.start, self.period.end, zone)].append(zone)
        return zones_by_bounds


def resolve(session: Session, period: Period, *, offsets_until: datetime | None = None) -> ResolvedPeriod:
    """Read the zones that entries can carry, for a period in nobody's zone in particular.

    Clocks are known around the period: enough to cut entries at its midnights. A statement that shows whole entries in
    local time gives the present instant as `offsets_until`. Then clocks are known at every instant of an entry that
    belongs to the period, also where it reaches out of it, and of a century only where there are entries.
    """
    zones: list[str] = []
    if period.zone is None or offsets_until is not None:
        rows = session.execute(_ZONES_QUERY if offsets_until is None else _ZONES_AND_ENTRY_RANGE_QUERY).all()
        zones = [row.name for row in rows]
    first, last = datetime.combine(period.start, time.min, UTC), datetime.combine(period.end, time.max, UTC)
    if offsets_until is None:
        first, margin = first - _ZONE_MARGIN, _ZONE_MARGIN
    else:
        earliest, latest = (
            (rows[0].earliest or _DEFAULT_EARLIEST, rows[0].latest or _DEFAULT_EARLIEST)
            if rows
            else (_DEFAULT_EARLIEST,) * 2
        )
        first, margin = max(first - _ENTRY_MARGIN, earliest), _ENTRY_MARGIN
        last = min(last, max(latest, offsets_until))
    since, until = int(min(first, last).timestamp()), int((last + margin).timestamp())
    return ResolvedPeriod(period, zones if period.zone is None else [period.zone], since, until)


def envelope(bounds: Bounds) -> tuple[datetime, datetime]:
    """The interval that has all of them in it."""
    return min(lower for lower, _ in bounds), max(upper for _, upper in bounds)


def starts_within(resolved: ResolvedPeriod) -> ColumnElement[bool]:
    """The condition that an entry starts on a day of the period."""
    bounds = resolved.bounds
    if len(bounds) == 1:
        return starts_between(*envelope(bounds))
    by_zone = (and_(starts_between(*each), ENTRY.c.time_zone.in_(zones)) for each, zones in bounds.items())
    inner = starts_between(max(lower for lower, _ in bounds), min(upper for _, upper in bounds))  # nearly all of them
    return and_(starts_between(*envelope(bounds)), or_(inner, *by_zone))  # the first term is one that an index knows


def starts_between(lower: datetime | BindParameter[Any], upper: datetime | BindParameter[Any]) -> ColumnElement[bool]:
    """The condition that an entry starts in the half-open interval."""
    return and_(ENTRY.c.start_time >= lower, ENTRY.c.start_time < upper)

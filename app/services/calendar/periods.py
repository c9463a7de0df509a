"""Periods: local days from a start date to an end date, both included, as instants that a database can compare.

An entry keeps the time zone that its user had at the time of recording. Its local days are those of this zone.
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
from app.core.time.zones import day_range, zone_names
from app.models.tables import ENTRY, TIME_ZONE

MAX_REPORT_DAYS = 400
_ZONE_MARGIN = timedelta(days=3)  # after that, the last day of the period has ended in every zone
_ZONES_QUERY = select(TIME_ZONE.c.name).order_by(TIME_ZONE.c.name)
# The first and the last start of all entries come from two index lookups.
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
    """Local days from `start` to `end`, both included, in `zone`. If `zone` is None, each entry's own zone counts.

    Raises PeriodReversed.
    """

    start: date
    end: date
    zone: str | None = None

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise PeriodReversed("end_date is before start_date. Swap them.")

    def require_at_most(self, days: int) -> "Period":
        """Return this period. Raises PeriodTooLong if it has more days."""
        if (self.end - self.start).days >= days:
            raise PeriodTooLong(f"The period has more than {days} days. Choose a shorter period.")
        return self


def month_period(month: str, zone: str | None) -> Period:
    """Return the period of a month such as `2026-03`."""
    first = date.fromisoformat(f"{month}-01")
    return Period(first, first.replace(day=monthrange(first.year, first.month)[1]), zone)


Bounds = dict[tuple[datetime, datetime], list[str]]


@dataclass(frozen=True)
class ResolvedPeriod:
    """A period with the time zones whose local days a statement needs."""

    period: Period
    zones: list[str]
    """The zone of the period if it has one, else all zones that entries can have."""
    offsets_from: int
    offsets_until: int
    """The range, in seconds since 1970, for which the UTC offsets of the zones are computed. It contains the start of
    each entry and segment of the period, and the end of each segment."""
    latest_end: int
    """A second after the end of each entry that starts in the period, also if it was open for years."""

    @cached_property
    def bounds(self) -> Bounds:
        """The half-open intervals of the period, each with the zones in which the period is this interval."""
        zones_by_bounds: Bounds = defaultdict(list)
        for zone in self.zones:
            zones_by_bounds[day_range(self.period.start, self.period.end, zone)].append(zone)
        return zones_by_bounds


def resolve(session: Session, period: Period, *, now: datetime | None = None) -> ResolvedPeriod:
    """Return the period with its zones. If it has no zone, read all zones that entries can have.

    By default, UTC offsets are computed for the period and a few days around it. That is enough to split entries at
    the midnights of the period. A statement that shows local times of entries passes the current time as `now`. Then
    the offsets leave out years without entries, and `latest_end` is known, because no entry ends in the future.
    """
    zones: list[str] = []
    if period.zone is None or now is not None:
        rows = session.execute(_ZONES_QUERY if now is None else _ZONES_AND_ENTRY_RANGE_QUERY).all()
        zones = [row.name for row in rows if row.name in zone_names()] or ["UTC"]
    first, last = datetime.combine(period.start, time.min, UTC), datetime.combine(period.end, time.max, UTC)
    first, last = first - _ZONE_MARGIN, last + _ZONE_MARGIN
    latest_end = last
    if now is not None:
        earliest, latest = (rows[0].earliest, rows[0].latest) if rows else (None, None)
        latest_end = max(latest or now, now) + _ZONE_MARGIN
        first, last = max(first, earliest or first), min(last, latest_end)
    since, *ends = (int(each.timestamp()) for each in (min(first, last), last, max(last, latest_end)))
    return ResolvedPeriod(period, zones if period.zone is None else [period.zone], since, *ends)


def find_unknown_zones(session: Session) -> list[str]:
    """Return the names of registered zones that this version does not know. `resolve` leaves them out."""
    return [name for name in session.scalars(_ZONES_QUERY) if name not in zone_names()]


def envelope(bounds: Bounds) -> tuple[datetime, datetime]:
    """Return the smallest interval that contains all intervals."""
    return min(lower for lower, _ in bounds), max(upper for _, upper in bounds)


def starts_within(resolved: ResolvedPeriod) -> ColumnElement[bool]:
    """Return the condition that an entry starts on a local day of the period."""
    bounds = resolved.bounds
    if len(bounds) == 1:
        return starts_between(*envelope(bounds))
    by_zone = (and_(starts_between(*each), ENTRY.c.time_zone.in_(zones)) for each, zones in bounds.items())
    inner = starts_between(max(lower for lower, _ in bounds), min(upper for _, upper in bounds))  # most entries
    return and_(starts_between(*envelope(bounds)), or_(inner, *by_zone))  # the first term can use an index


def starts_between(lower: datetime | BindParameter[Any], upper: datetime | BindParameter[Any]) -> ColumnElement[bool]:
    """Return the condition that an entry starts in the half-open interval."""
    return and_(ENTRY.c.start_time >= lower, ENTRY.c.start_time < upper)

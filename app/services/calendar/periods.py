"""Periods: local days from a start date to an end date, both included, as instants that a database can compare.

An entry keeps the time zone that its user had at the time of recording. Its local days are those of this zone.
"""

from calendar import monthrange
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, func, or_, select, union

from app.core.database.session import Session
from app.core.errors import Invalid
from app.core.time.zones import day_range, zone_names
from app.models.tables import ENTRY, TIME_ZONE, USER

MAX_REPORT_DAYS = 400
_ZONE_MARGIN = timedelta(days=3)  # after that, the last day of the period has ended in every zone
_MAX_ZONES = 8
"""The number of registered zones up to which all are used. More are narrowed to those in sight, by one more scan."""
_EARLIER = ENTRY.alias("earlier")
_ZONES_QUERY = select(TIME_ZONE.c.name).order_by(TIME_ZONE.c.name)
_HAS_FEW_ZONES = select(func.count() <= _MAX_ZONES).select_from(TIME_ZONE).scalar_subquery()
# The first and the last start of all entries come from two index lookups.
_ENTRY_RANGE = (
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
    """The zone of the period if it has one, else all zones of its entries, and maybe others."""
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


def resolve(
    session: Session, period: Period, users: ColumnElement[bool], *, now: datetime | None = None
) -> ResolvedPeriod:
    """Return the period with its zones. If it has no zone, read the zones of the entries of these users in the period.

    `users` is a condition over USER. By default, UTC offsets are computed for the period and a few days around it. That
    is enough to split entries at the midnights of the period. A statement that shows local times of entries passes the
    current time as `now`. Then the offsets leave out years without entries, and `latest_end` is known, because no entry
    ends in the future.
    """
    first, last = (datetime.combine(day, time.min, UTC) for day in (period.start, period.end + timedelta(days=1)))
    first, last = first - _ZONE_MARGIN, last + _ZONE_MARGIN
    latest_end = last
    columns = () if now is None else _ENTRY_RANGE
    if period.zone is None:
        rows = session.execute(_zones_query(users, first, last).add_columns(*columns)).all()
        zones = [row.name for row in rows if row.name in zone_names()] or ["UTC"]
    else:
        rows = session.execute(select(*columns)).all() if columns else []
        zones = [period.zone]
    if now is not None:
        earliest, latest = (rows[0].earliest, rows[0].latest) if rows else (None, None)
        latest_end = max(latest or now, now) + _ZONE_MARGIN
        first, last = max(first, earliest or first), min(last, latest_end)
    since, *ends = (int(each.timestamp()) for each in (min(first, last), last, max(last, latest_end)))
    return ResolvedPeriod(period, zones, since, *ends)


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


def reaching_into(lower: datetime, users: ColumnElement[bool]) -> Select[tuple[int]]:
    """Return a query for the ids of these users' entries that start before the instant and extend beyond it.

    A user's entries do not overlap, so only the last one that starts earlier can do so. Finding it takes one index
    lookup for each user.
    """
    has_length = or_(_EARLIER.c.end_time.is_(None), _EARLIER.c.end_time > _EARLIER.c.start_time)
    last_before = (
        select(_EARLIER.c.id)
        .where(_EARLIER.c.user_id == USER.c.id, _EARLIER.c.start_time < lower, has_length)
        .order_by(_EARLIER.c.start_time.desc())
        .limit(1)
        .scalar_subquery()
    )
    return select(ENTRY.c.id).where(
        ENTRY.c.id.in_(select(last_before).select_from(USER).where(users)),
        or_(ENTRY.c.end_time.is_(None), ENTRY.c.end_time > lower),
    )


def _zones_query(users: ColumnElement[bool], first: datetime, last: datetime) -> Select[tuple[str]]:
    """Return the query for the registered zones. If they are many, only for those of these users' entries.

    Any user can register all 600 zones by changing their own, which must not make the reports of others slow. The
    databases evaluate OR from left to right, so the entries are read only if there are many zones.
    """
    of_users = ENTRY.c.user_id.in_(select(USER.c.id).where(users))
    starting = select(ENTRY.c.time_zone).where(starts_between(first, last), of_users)
    reaching = select(ENTRY.c.time_zone).where(ENTRY.c.id.in_(reaching_into(first, users)))
    return _ZONES_QUERY.where(or_(_HAS_FEW_ZONES, TIME_ZONE.c.name.in_(union(starting, reaching))))

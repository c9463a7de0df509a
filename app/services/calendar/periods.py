"""Periods: the days from a start to an end date, both included, as instants that a database can compare.

An entry keeps the zone its owner had when it was recorded, and belongs to the local day on which it starts there.
"""

from calendar import monthrange
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
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
from app.core.time.zones import period
from app.models.tables import ENTRY, ZONE

MAX_REPORT_DAYS = 400


class PeriodReversed(Invalid):
    code = "period_reversed"
    title = "The period ends before it starts"


class PeriodTooLong(Invalid):
    code = "period_too_long"
    title = "The period is too long"


@dataclass(frozen=True, slots=True)
class Period:
    """Local days from `start` to `end`, both included; in `zone` if one is asked for, else in each entry's own."""

    start: date
    end: date
    zone: str | None = None

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise PeriodReversed("end_date lies before start_date. Swap them.")

    def at_most(self, days: int) -> "Period":
        """This period. Raises PeriodTooLong where it has more days."""
        if (self.end - self.start).days >= days:
            raise PeriodTooLong(f"At most {days} days at once. Ask for a shorter period.")
        return self


def of_month(month: str, zone: str | None) -> Period:
    """The days of a month such as `2026-03`."""
    first = date.fromisoformat(f"{month}-01")
    return Period(first, first.replace(day=monthrange(first.year, first.month)[1]), zone)


Bounds = dict[tuple[datetime, datetime], list[str]]


def bounds_of(session: Session, wanted: Period) -> Bounds:
    """The half-open intervals of the period, each with the zones of entries for which it is the one.

    Python turns days into instants, zone by zone; the database only compares. Zones whose days coincide share a term.
    """
    zones_by_bounds: Bounds = defaultdict(list)
    for zone in zones_of(session, wanted):
        zones_by_bounds[period(wanted.start, wanted.end, zone)].append(zone)
    return zones_by_bounds


def zones_of(session: Session, wanted: Period) -> list[str]:
    """The zones whose days the period has: the one asked for, else all that entries can carry, read once a snapshot."""
    if wanted.zone is not None:
        return [wanted.zone]
    if session.writes or "zones" not in session.info:
        session.info["zones"] = list(session.execute(select(ZONE.c.name).order_by(ZONE.c.name)).scalars())
    zones: list[str] = session.info["zones"]
    return zones


def widest(bounds: Bounds) -> tuple[datetime, datetime]:
    """The interval that has all of them in it."""
    return min(first for first, _ in bounds), max(after for _, after in bounds)


def starts_within(session: Session, wanted: Period) -> ColumnElement[bool]:
    """The condition that an entry starts on a day of the period."""
    bounds = bounds_of(session, wanted)
    if len(bounds) == 1:
        return starts_between(*widest(bounds))
    exactly = (and_(starts_between(*each), ENTRY.c.time_zone.in_(zones)) for each, zones in bounds.items())
    anyway = starts_between(max(first for first, _ in bounds), min(after for _, after in bounds))  # nearly all of them
    return and_(starts_between(*widest(bounds)), or_(anyway, *exactly))  # the first term is one that an index knows


def starts_between(first: datetime | BindParameter[Any], after: datetime | BindParameter[Any]) -> ColumnElement[bool]:
    """The condition that an entry starts in the half-open interval."""
    return and_(ENTRY.c.start_time >= first, ENTRY.c.start_time < after)

"""The segments of time that an export has a row for, inside a statement: whole entries, or their segments by local day.

The same segments as `attribution.split_at_midnights` gives, of which it is the description in plain code.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    and_,
    case,
    literal,
    or_,
    select,
    true,
    type_coerce,
)

from app.core.database.dialect import earliest, epoch, from_epoch, latest, number_series, seconds_between
from app.core.database.session import Session
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution
from app.services.calendar.attribution import in_period, period_bounds
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import Period, ResolvedPeriod


@dataclass(frozen=True, slots=True)
class EntrySegments:
    """Rows that each are an entry, or what of it lies inside one local day."""

    entry: FromClause
    """Where the entry's columns stand."""
    start: ColumnElement[datetime]
    end: ColumnElement[datetime]
    seconds: ColumnElement[int]
    is_included: ColumnElement[bool]
    """The condition that a row counts."""


def entry_segments(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, users: ColumnElement[bool]
) -> EntrySegments:
    """The segments of entries that belong to the period. As `in_period`, they are not restricted to `users`: the
    caller's statement does that."""
    is_included = in_period(session, resolved, attribution, users)
    if attribution is Attribution.at_start:
        start, end = ENTRY.c.start_time, ENTRY.c.end_time
        return EntrySegments(ENTRY, start, end, seconds_between(start, end), is_included)
    local = LocalTime(resolved)
    of_users = ENTRY.c.user_id.in_(select(USER.c.id).where(users))
    clipped = _clipped(resolved, and_(of_users, is_included))
    day_segments = _day_segments(resolved.period, _with_days(clipped, local), local)
    segment_start, segment_end = (from_epoch(day_segments.c[name]) for name in ("segment_start", "segment_end"))
    return EntrySegments(
        day_segments, segment_start, segment_end, day_segments.c.segment_end - day_segments.c.segment_start, true()
    )


# Each step below stands in a subquery of its own, with an OFFSET that keeps the planner from merging it into the next:
# expressions that hold one another many times over would outgrow any statement.


def _clipped(resolved: ResolvedPeriod, is_included: ColumnElement[bool]) -> Subquery:
    """The entries with what of them lies inside the period. One without length, or without an end, lies there whole."""
    start, end = ENTRY.c.start_time, ENTRY.c.end_time
    lower, upper = period_bounds(resolved)
    is_whole = or_(end.is_(None), end == start)
    is_inside = case(
        (is_whole, and_(start < upper, or_(end.is_(None), start >= lower))),
        else_=and_(start < upper, end > lower),
    )
    clipped_start = epoch(latest(start, lower))
    query = select(
        ENTRY,
        is_whole.label("is_whole"),
        epoch(start).label("start"),
        epoch(end).label("end"),
        clipped_start.label("clipped_start"),
        case((is_whole, clipped_start), else_=epoch(earliest(end, upper)) - 1).label("last_second"),
    )
    return _optimization_fence(query.where(is_included, is_inside).order_by(ENTRY.c.user_id), "clipped")


def _with_days(clipped: Subquery, local: LocalTime) -> Subquery:
    """The same with the first and the last local day, in days since 1970."""
    local = local.with_zone(clipped.c.time_zone)
    days = (local.day(clipped.c.clipped_start).label("first_day"), local.day(clipped.c.last_second).label("last_day"))
    return _optimization_fence(select(clipped, *days), "with_days")


def _day_segments(period: Period, entries: Subquery, local: LocalTime) -> Subquery:
    """A row for each of the days, with the part of the entry inside it."""
    local = local.with_zone(entries.c.time_zone)
    days = (period.end - period.start).days + 1
    numbers = number_series(entries.c.last_day - entries.c.first_day, at_most=days)
    day = entries.c.first_day + type_coerce(numbers.c.value, BigInteger)
    segment_start = case(
        (entries.c.is_whole, entries.c.start), else_=latest(entries.c.clipped_start, local.day_start(day))
    )
    segment_end = case(
        (entries.c.is_whole, entries.c.end), else_=earliest(entries.c.last_second + 1, local.day_start(day + 1))
    )
    columns = [entries.c[column.name] for column in ENTRY.c]
    query = select(*columns, entries.c.is_whole, segment_start.label("segment_start"), segment_end.label("segment_end"))
    segments = _optimization_fence(query.select_from(entries.join(numbers, true())), "segments")
    has_length = or_(segments.c.is_whole, segments.c.segment_end > segments.c.segment_start)  # a skipped day has none
    return _optimization_fence(select(segments).where(has_length), "day_segments")


def _optimization_fence(statement: Select[Any], name: str) -> Subquery:
    return statement.offset(literal(0, Integer)).subquery(name)

"""The rows of an export, computed inside a statement: whole entries, or their segments by local day.

The segments are the same as those of `attribution.split_at_midnights`, which states the rule in Python.
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
from app.services.calendar.attribution import in_period, is_inside, period_bounds
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import Period, ResolvedPeriod


@dataclass(frozen=True, slots=True)
class EntrySegments:
    """Rows of a statement, each an entry or its segment inside one local day."""

    entry: FromClause
    """The table or subquery with the entry's columns."""
    start: ColumnElement[datetime]
    end: ColumnElement[datetime]
    seconds: ColumnElement[int]
    is_included: ColumnElement[bool]
    """The condition that a row belongs to the period."""
    is_first: ColumnElement[bool]
    """The condition that a row is the first one of its entry."""
    is_entry_included: ColumnElement[bool]
    """The condition that a row of ENTRY belongs to the period."""


def entry_segments(
    session: Session,
    resolved: ResolvedPeriod,
    attribution: Attribution,
    users: ColumnElement[bool],
    *,
    at: datetime,
) -> EntrySegments:
    """Return the entries of the period, or with attribution `split` their segments. `at` is the current time.

    Like `in_period`, the rows may belong to users other than `users`. The caller's statement must restrict them.
    """
    is_included = in_period(session, resolved, attribution, users)
    if attribution is Attribution.at_start:
        start, end = ENTRY.c.start_time, ENTRY.c.end_time
        return EntrySegments(ENTRY, start, end, seconds_between(start, end), is_included, true(), is_included)
    local = LocalTime(resolved)
    of_users = ENTRY.c.user_id.in_(select(USER.c.id).where(users))
    is_entry_included = and_(is_included, is_inside(resolved, at=at))
    clipped = _clipped(resolved, and_(of_users, is_entry_included))
    day_segments = _day_segments(resolved.period, _with_days(clipped, local), local)
    segment_start, segment_end = (from_epoch(day_segments.c[name]) for name in ("segment_start", "segment_end"))
    return EntrySegments(
        day_segments,
        segment_start,
        segment_end,
        day_segments.c.segment_end - day_segments.c.segment_start,
        true(),
        day_segments.c.is_first,
        is_entry_included,
    )


# Each step below is a subquery with an OFFSET, which keeps the planner from merging it into the next step. Merged, the
# nested expressions would repeat one another and make the statement too large.


def _clipped(resolved: ResolvedPeriod, is_included: ColumnElement[bool]) -> Subquery:
    """Clip the entries to the period. An open entry, and one of 0 s, has one segment."""
    start, end = ENTRY.c.start_time, ENTRY.c.end_time
    lower, upper = period_bounds(resolved)
    is_unsplit = or_(end.is_(None), end == start)
    clipped_start = epoch(latest(start, lower))
    query = select(
        ENTRY,
        is_unsplit.label("is_unsplit"),
        epoch(end).label("end"),
        clipped_start.label("clipped_start"),
        case((is_unsplit, clipped_start), else_=epoch(earliest(end, upper)) - 1).label("last_second"),
    )
    return _optimization_fence(query.where(is_included).order_by(ENTRY.c.user_id), "clipped")


def _with_days(clipped: Subquery, local: LocalTime) -> Subquery:
    """Add the first and the last local day of each entry, in days since 1970."""
    local = local.with_zone(clipped.c.time_zone)
    days = (local.day(clipped.c.clipped_start).label("first_day"), local.day(clipped.c.last_second).label("last_day"))
    return _optimization_fence(select(clipped, *days), "with_days")


def _day_segments(period: Period, entries: Subquery, local: LocalTime) -> Subquery:
    """Return one row for each local day of an entry, with the start and end of its segment."""
    local = local.with_zone(entries.c.time_zone)
    days = (period.end - period.start).days + 1
    numbers = number_series(entries.c.last_day - entries.c.first_day, at_most=days)
    day = entries.c.first_day + type_coerce(numbers.c.value, BigInteger)
    segment_start = latest(entries.c.clipped_start, local.day_start(day))
    segment_end = case(
        (entries.c.is_unsplit, entries.c.end), else_=earliest(entries.c.last_second + 1, local.day_start(day + 1))
    )
    columns = [entries.c[column.name] for column in ENTRY.c]
    query = select(
        *columns,
        entries.c.is_unsplit,
        (numbers.c.value == 0).label("is_first"),
        segment_start.label("segment_start"),
        segment_end.label("segment_end"),
    )
    segments = _optimization_fence(query.select_from(entries.join(numbers, true())), "segments")
    has_length = or_(segments.c.is_unsplit, segments.c.segment_end > segments.c.segment_start)  # skipped days have none
    return _optimization_fence(select(segments).where(has_length), "day_segments")


def _optimization_fence(statement: Select[Any], name: str) -> Subquery:
    return statement.offset(literal(0, Integer)).subquery(name)

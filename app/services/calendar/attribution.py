"""Attribution of entries to local days: to the day of their start, or split at each local midnight.

In both cases the seconds of the days add up to the seconds of the entries, even when the clocks change. The reason is
that local days are consecutive intervals of instants, without gaps and without overlaps.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, case, func, literal, or_, select

from app.core.database.column_types import Instant
from app.core.database.dialect import earliest, latest, whole_seconds
from app.core.database.session import Session
from app.core.time.zones import day_start_epoch, local_day
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.services.calendar.periods import (
    Bounds,
    Period,
    ResolvedPeriod,
    envelope,
    reaching_into,
    starts_between,
    starts_within,
)

_DAY = timedelta(days=1)


class CountedSeconds(NamedTuple):
    """Whole seconds of closed entries, and how many of them are of entries that need review."""

    total: int = 0
    needs_review: int = 0


def in_period(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, users: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return the condition that an entry belongs to the period.

    With attribution `split`, the condition selects candidates, and `split_at_midnights` finds the exact segments.
    `users` is a condition over USER. It serves to find entries that start before the period and end after its start.
    It does not restrict the entries to these users, so the caller's statement must do that.
    """
    if attribution is Attribution.at_start:
        return starts_within(resolved)
    return _may_overlap(session, resolved.bounds, users)


def split_by_day(
    entries: Iterable[TimeEntryWithProject], period: Period, attribution: Attribution, *, at: datetime
) -> Iterator[tuple[date, TimeEntryWithProject]]:
    """Yield each entry with the local day to which it belongs.

    With attribution `split`, yield each segment of the entry instead, with the local day that contains it. `at` is the
    current time.
    """
    now = int(at.timestamp())
    for entry in entries:
        zone = period.zone or entry.time_zone
        start = int(entry.start_time.timestamp())
        if attribution is Attribution.at_start:
            yield local_day(start, zone), entry
            continue
        end = None if entry.end_time is None else int(entry.end_time.timestamp())
        for day, segment_start, segment_end in split_at_midnights(start, end, zone, period, now=now):
            if (segment_start, segment_end) == (start, end):
                yield day, entry
            else:
                yield (
                    day,
                    entry.model_copy(update={"start_time": _instant(segment_start), "end_time": _instant(segment_end)}),
                )


def split_at_midnights(
    start: int, end: int | None, zone: str, period: Period, *, now: int
) -> Iterator[tuple[date, int, int | None]]:
    """Yield the segments of an entry inside the period: local day, start and end, in seconds since 1970.

    An open entry has no length yet, so it is yielded once, on its first day inside the period. It is in no period that
    begins after the current time.
    """
    lower, upper = day_start_epoch(period.start, zone), day_start_epoch(period.end + _DAY, zone)
    if end is None or end == start:
        if start < upper and (start >= lower or (end is None and lower <= now)):
            segment_start = max(start, lower)
            yield local_day(segment_start, zone), segment_start, end
        return
    segment_start, clipped_end = max(start, lower), min(end, upper)
    if segment_start >= clipped_end:
        return
    day = local_day(segment_start, zone)
    while segment_start < clipped_end:
        segment_end = min(day_start_epoch(day + _DAY, zone), clipped_end)
        if segment_end > segment_start:  # a day that the zone skipped is empty
            yield day, segment_start, segment_end
        segment_start, day = segment_end, day + _DAY


def seconds_by_user(
    session: Session,
    resolved: ResolvedPeriod,
    attribution: Attribution,
    users: ColumnElement[bool],
    is_counted: ColumnElement[bool],
) -> dict[int, CountedSeconds]:
    """Return the whole seconds of the closed entries that belong to the period and are counted, by user id."""
    is_included, start, end = clipped_interval(session, resolved, attribution, users)
    total = func.sum(end - start)
    seconds = whole_seconds(total), whole_seconds(total.filter(ENTRY.c.needs_review))
    of_users = ENTRY.c.user_id.in_(select(USER.c.id).where(users))
    closed = select(ENTRY.c.user_id, *seconds).where(of_users, is_included, is_counted)
    rows = session.execute(closed.group_by(ENTRY.c.user_id))
    return {user_id: CountedSeconds(total, needs_review or 0) for user_id, total, needs_review in rows}


def is_inside(resolved: ResolvedPeriod, *, at: datetime) -> ColumnElement[bool]:
    """Return the condition that `split_at_midnights` yields a segment of an entry."""
    start, end = ENTRY.c.start_time, ENTRY.c.end_time
    lower, upper = period_bounds(resolved)
    is_still_open = and_(end.is_(None), lower <= literal(at, Instant))
    return and_(start < upper, or_(start >= lower, end > lower, is_still_open))


def clipped_interval(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, users: ColumnElement[bool]
) -> tuple[ColumnElement[bool], ColumnElement[datetime], ColumnElement[datetime]]:
    """Return the condition that a closed entry belongs to the period, and the start and end of the part that counts.

    Like `in_period`, the condition does not restrict the entries to `users`.
    """
    start, end = ENTRY.c.start_time, ENTRY.c.end_time
    closed = end.is_not(None)
    if attribution is Attribution.at_start:
        return and_(closed, starts_within(resolved)), start, end
    lower, upper = period_bounds(resolved)
    is_included = and_(
        closed, in_period(session, resolved, attribution, users), start < upper, or_(start >= lower, end > lower)
    )
    return is_included, latest(start, lower), earliest(end, upper)


def period_bounds(resolved: ResolvedPeriod) -> tuple[ColumnElement[datetime], ColumnElement[datetime]]:
    """Return the first instant of the period in an entry's zone, and the first instant after the period."""
    return _by_zone(resolved.bounds, 0), _by_zone(resolved.bounds, 1)


def _may_overlap(session: Session, bounds: Bounds, users: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that an entry starts inside the widest interval, or starts earlier and extends into it."""
    lower, upper = envelope(bounds)
    ids = list(session.execute(reaching_into(lower, users)).scalars())
    # Literals instead of parameters, because SQLite accepts at most 32,766 parameters.
    ids_param: BindParameter[list[int]] = bindparam("reaching", ids, expanding=True, literal_execute=True)
    return or_(starts_between(lower, upper), ENTRY.c.id.in_(ids_param))


def _by_zone(bounds: Bounds, side: int) -> ColumnElement[datetime]:
    """Return the lower (`side` 0) or upper (`side` 1) bound of the interval for an entry's zone."""
    instants = {each: literal(each[side], Instant) for each in bounds}
    if len(bounds) == 1:
        return next(iter(instants.values()))
    return case(*((ENTRY.c.time_zone.in_(zones), instants[each]) for each, zones in bounds.items()))


def _instant(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)

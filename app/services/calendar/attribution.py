"""To which days an entry belongs: whole to the local day on which it starts, or cut at each local midnight.

Either way the seconds of the days add up to the seconds of the entries, over every change of the clocks, since days are
intervals of instants that follow on one another without gap or overlap.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, case, func, literal, or_, select

from app.core.database.column_types import Instant
from app.core.database.dialect import earliest, latest, whole_seconds
from app.core.database.session import Session
from app.core.time.zones import day_start_epoch, local_day
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.services.calendar.periods import Bounds, Period, ResolvedPeriod, envelope, starts_between, starts_within

_DAY = timedelta(days=1)
_EARLIER = ENTRY.alias("earlier")


def in_period(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, users: ColumnElement[bool]
) -> ColumnElement[bool]:
    """The condition that an entry belongs to the period; with split, that it may: `split_at_midnights` decides.

    It does not restrict entries to `users`, which is a condition over USER: the caller's statement does that. With
    split it is needed to find the entries from before the period that reach into it.
    """
    if attribution is Attribution.at_start:
        return starts_within(resolved)
    return _may_overlap(session, resolved.bounds, users)


def split_by_day(
    entries: Iterable[TimeEntryWithProject], period: Period, attribution: Attribution
) -> Iterator[tuple[date, TimeEntryWithProject]]:
    """Each entry with the day to which it belongs; with split, what of it lies inside each day of the period."""
    for entry in entries:
        zone = period.zone or entry.time_zone
        start = int(entry.start_time.timestamp())
        if attribution is Attribution.at_start:
            yield local_day(start, zone), entry
            continue
        end = None if entry.end_time is None else int(entry.end_time.timestamp())
        for day, segment_start, segment_end in split_at_midnights(start, end, zone, period):
            if (segment_start, segment_end) == (start, end):
                yield day, entry
            else:
                yield (
                    day,
                    entry.model_copy(update={"start_time": _instant(segment_start), "end_time": _instant(segment_end)}),
                )


def split_at_midnights(
    start: int, end: int | None, zone: str, period: Period
) -> Iterator[tuple[date, int, int | None]]:
    """What of an entry lies inside each local day of the period: day, start and end, in seconds since 1970.

    One that still runs has no length to cut: it is given once, whole, on its first day inside the period.
    """
    lower, upper = day_start_epoch(period.start, zone), day_start_epoch(period.end + _DAY, zone)
    if end is None or end == start:
        if start < upper and (end is None or start >= lower):
            yield max(local_day(start, zone), period.start), start, end
        return
    segment_start, clipped_end = max(start, lower), min(end, upper)
    if segment_start >= clipped_end:
        return
    day = local_day(segment_start, zone)
    while segment_start < clipped_end:
        segment_end = min(day_start_epoch(day + _DAY, zone), clipped_end)
        if segment_end > segment_start:  # a day that the zone left out has nothing in it
            yield day, segment_start, segment_end
        segment_start, day = segment_end, day + _DAY


def seconds_by_user(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, users: ColumnElement[bool]
) -> dict[int, int]:
    """Whole seconds of closed entries that belong to the period, by person, added up in the database."""
    is_included, start, end = clipped_interval(session, resolved, attribution, users)
    closed = select(ENTRY.c.user_id, whole_seconds(func.sum(end - start))).where(
        ENTRY.c.user_id.in_(select(USER.c.id).where(users)), is_included
    )
    return {user_id: total for user_id, total in session.execute(closed.group_by(ENTRY.c.user_id))}  # noqa: C416


def clipped_interval(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, users: ColumnElement[bool]
) -> tuple[ColumnElement[bool], ColumnElement[datetime], ColumnElement[datetime]]:
    """The condition that a closed entry belongs to the period, and from when to when it counts.

    As `in_period`, it does not restrict entries to `users`.
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
    """The instant at which the period begins in an entry's zone, and the one behind its end."""
    return _by_zone(resolved.bounds, 0), _by_zone(resolved.bounds, 1)


def _may_overlap(session: Session, bounds: Bounds, users: ColumnElement[bool]) -> ColumnElement[bool]:
    """Entries that start in the widest of the intervals, and those from before that reach into it.

    Of a person's entries, which don't overlap, only the last one before can: one step down an index for each person.
    """
    lower, upper = envelope(bounds)
    has_length = or_(_EARLIER.c.end_time.is_(None), _EARLIER.c.end_time > _EARLIER.c.start_time)
    last_before = (
        select(_EARLIER.c.id)
        .where(_EARLIER.c.user_id == USER.c.id, _EARLIER.c.start_time < lower, has_length)
        .order_by(_EARLIER.c.start_time.desc())
        .limit(1)
        .scalar_subquery()
    )
    overlapping = select(ENTRY.c.id).where(
        ENTRY.c.id.in_(select(last_before).select_from(USER).where(users)),
        or_(ENTRY.c.end_time.is_(None), ENTRY.c.end_time > lower),
    )
    ids = list(session.execute(overlapping).scalars())
    # Written into the statement: SQLite takes no more than 32,766 parameters.
    ids_param: BindParameter[list[int]] = bindparam("reaching", ids, expanding=True, literal_execute=True)
    return or_(starts_between(lower, upper), ENTRY.c.id.in_(ids_param))


def _by_zone(bounds: Bounds, side: int) -> ColumnElement[datetime]:
    """The lower (0) or the upper (1) bound of an entry's interval."""
    instants = {each: literal(each[side], Instant) for each in bounds}
    if len(bounds) == 1:
        return next(iter(instants.values()))
    return case(*((ENTRY.c.time_zone.in_(zones), instants[each]) for each, zones in bounds.items()))


def _instant(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)

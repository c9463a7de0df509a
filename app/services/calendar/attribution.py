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
from app.core.time.zones import day_second, local_day
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import TimeEntryWithProject
from app.services.calendar.periods import Bounds, Period, ResolvedPeriod, starts_between, starts_within, widest

_DAY = timedelta(days=1)
_EARLIER = ENTRY.alias("earlier")


def belonging(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, people: ColumnElement[bool]
) -> ColumnElement[bool]:
    """The condition that an entry belongs to the period; with split, that it may: `cut` decides.

    It does not restrict entries to `people`, which is a condition over USER: the caller's statement does that. With
    split it is needed to find the entries from before the period that reach into it.
    """
    if attribution is Attribution.at_start:
        return starts_within(resolved)
    return _may_reach_into(session, resolved.bounds, people)


def parts(
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
        for day, begins, ends in cut(start, end, zone, period):
            if (begins, ends) == (start, end):
                yield day, entry
            else:
                yield day, entry.model_copy(update={"start_time": _instant(begins), "end_time": _instant(ends)})


def cut(start: int, end: int | None, zone: str, period: Period) -> Iterator[tuple[date, int, int | None]]:
    """What of an entry lies inside each local day of the period: day, start and end, in seconds since 1970.

    One that still runs has no length to cut: it is given once, whole, on its first day inside the period.
    """
    first, after = day_second(period.start, zone), day_second(period.end + _DAY, zone)
    if end is None or end == start:
        if start < after and (end is None or start >= first):
            yield max(local_day(start, zone), period.start), start, end
        return
    begins, stops = max(start, first), min(end, after)
    if begins >= stops:
        return
    day = local_day(begins, zone)
    while begins < stops:
        ends = min(day_second(day + _DAY, zone), stops)
        if ends > begins:  # a day that the zone left out has nothing in it
            yield day, begins, ends
        begins, day = ends, day + _DAY


def seconds_by_person(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, people: ColumnElement[bool]
) -> dict[int, int]:
    """Whole seconds of closed entries that belong to the period, by person, added up in the database."""
    inside, start, end = inside_of(session, resolved, attribution, people)
    closed = select(ENTRY.c.user_id, whole_seconds(func.sum(end - start))).where(
        ENTRY.c.user_id.in_(select(USER.c.id).where(people)), inside
    )
    return {user_id: total for user_id, total in session.execute(closed.group_by(ENTRY.c.user_id))}  # noqa: C416


def inside_of(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, people: ColumnElement[bool]
) -> tuple[ColumnElement[bool], ColumnElement[datetime], ColumnElement[datetime]]:
    """The condition that a closed entry belongs to the period, and from when to when it counts.

    As `belonging`, it does not restrict entries to `people`.
    """
    start, end = ENTRY.c.start_time, ENTRY.c.end_time
    closed = end.is_not(None)
    if attribution is Attribution.at_start:
        return and_(closed, starts_within(resolved)), start, end
    first, after = ends_of(resolved)
    inside = and_(
        closed, belonging(session, resolved, attribution, people), start < after, or_(start >= first, end > first)
    )
    return inside, latest(start, first), earliest(end, after)


def ends_of(resolved: ResolvedPeriod) -> tuple[ColumnElement[datetime], ColumnElement[datetime]]:
    """The instant at which the period begins in an entry's zone, and the one behind its end."""
    return _by_zone(resolved.bounds, 0), _by_zone(resolved.bounds, 1)


def _may_reach_into(session: Session, bounds: Bounds, people: ColumnElement[bool]) -> ColumnElement[bool]:
    """Entries that start in the widest of the intervals, and those from before that reach into it.

    Of a person's entries, which don't overlap, only the last one before can: one step down an index for each person.
    """
    first, after = widest(bounds)
    lasts = or_(_EARLIER.c.end_time.is_(None), _EARLIER.c.end_time > _EARLIER.c.start_time)
    last_before = (
        select(_EARLIER.c.id)
        .where(_EARLIER.c.user_id == USER.c.id, _EARLIER.c.start_time < first, lasts)
        .order_by(_EARLIER.c.start_time.desc())
        .limit(1)
        .scalar_subquery()
    )
    reaching = select(ENTRY.c.id).where(
        ENTRY.c.id.in_(select(last_before).select_from(USER).where(people)),
        or_(ENTRY.c.end_time.is_(None), ENTRY.c.end_time > first),
    )
    ids = list(session.execute(reaching).scalars())
    # Written into the statement: SQLite takes no more than 32,766 parameters.
    among: BindParameter[list[int]] = bindparam("reaching", ids, expanding=True, literal_execute=True)
    return or_(starts_between(first, after), ENTRY.c.id.in_(among))


def _by_zone(bounds: Bounds, side: int) -> ColumnElement[datetime]:
    """The first (0) or the after (1) of an entry's interval."""
    instants = {each: literal(each[side], Instant) for each in bounds}
    if len(bounds) == 1:
        return next(iter(instants.values()))
    return case(*((ENTRY.c.time_zone.in_(zones), instants[each]) for each, zones in bounds.items()))


def _instant(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)

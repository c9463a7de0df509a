"""To which days an entry belongs: whole to the local day on which it starts, or cut at each local midnight.

Either way the seconds of the days add up to the seconds of the entries, over every change of the clocks, since days are
intervals of instants that follow on one another without gap or overlap.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import BigInteger, BindParameter, ColumnElement, bindparam, case, func, literal, or_, select

from app.core.db import Session
from app.core.time_zones import day_second, local_day
from app.schemas.report import Attribution
from app.schemas.time_entry import TimeEntryWithProject
from app.services.identity import USER
from app.services.periods import ENTRY, Bounds, Period, bounds_of, starts_between, starts_within, unix_seconds, widest

_DAY = timedelta(days=1)
_EARLIER = ENTRY.alias("earlier")


def belonging(
    session: Session, period: Period, attribution: Attribution, people: ColumnElement[bool]
) -> ColumnElement[bool]:
    """The condition that an entry of these people belongs to the period; with split, that it may: `cut` decides."""
    if attribution is Attribution.at_start:
        return starts_within(session, period)
    return _may_reach_into(session, bounds_of(session, period), people)


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
    session: Session, period: Period, attribution: Attribution, people: ColumnElement[bool]
) -> dict[int, int]:
    """Whole seconds of closed entries that belong to the period, by person, added up in the database."""
    start, end = unix_seconds(session, ENTRY.c.start_time), unix_seconds(session, ENTRY.c.end_time)
    if attribution is Attribution.at_start:
        inside = starts_within(session, period)
    else:
        bounds = bounds_of(session, period)
        inside = _may_reach_into(session, bounds, people)
        first, after = (_by_zone(bounds, side) for side in (0, 1))
        least, greatest = (func.min, func.max) if session.settings.is_sqlite else (func.least, func.greatest)
        end = greatest(least(end, after), greatest(start, first))  # at worst empty, where it doesn't reach in
        start = greatest(start, first)
    closed = select(ENTRY.c.user_id, func.sum(end - start)).where(
        ENTRY.c.user_id.in_(select(USER.c.id).where(people)), inside, ENTRY.c.end_time.is_not(None)
    )
    return {user_id: int(total) for user_id, total in session.execute(closed.group_by(ENTRY.c.user_id))}


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


def _by_zone(bounds: Bounds, side: int) -> ColumnElement[int]:
    """The first (0) or the after (1) of an entry's interval, in seconds since 1970."""
    seconds = {each: literal(int(each[side].timestamp()), BigInteger) for each in bounds}
    if len(bounds) == 1:
        return next(iter(seconds.values()))
    return case(*((ENTRY.c.time_zone.in_(zones), seconds[each]) for each, zones in bounds.items()))


def _instant(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)

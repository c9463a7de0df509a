"""What a summary adds up: entries, or what of them lies inside each local day, with the keys of their groups."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, BigInteger, ColumnElement, Select, Subquery, cast, func, select, union_all

from app.core.db import Session
from app.schemas.report import Attribution
from app.schemas.summary import Group, SummaryWanted
from app.services import visibility
from app.services.attribution import earliest, inside_of, latest
from app.services.calendar_keys import OF_CALENDAR, CalendarKeys
from app.services.identity import USER, Actor
from app.services.local_time import LocalTime
from app.services.periods import ENTRY, Period, unix_seconds


def people_in(actor: Actor, wanted: SummaryWanted, person_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that the person of a row is one whom the actor may see, and asks for."""
    asked_for = visibility.in_sight(actor, person_id)
    if wanted.user_id is not None:
        asked_for &= person_id == wanted.user_id
    if wanted.team_id is not None:
        asked_for &= person_id.in_(visibility.team_ids(wanted.team_id, include_indirect=False))
    return asked_for


def parts(session: Session, actor: Actor, period: Period, wanted: SummaryWanted, calendar: CalendarKeys) -> Subquery:
    """One row for each entry and combination of keys: the keys by the names of their groups, but for the team, and
    `length`, which `in_seconds` understands."""
    people = people_in(actor, wanted, USER.c.id)
    inside, start, end = inside_of(session, period, wanted.attribution, people)
    found = select(ENTRY.c.user_id.label(Group.user), ENTRY.c.project_id.label(Group.project))
    found = found.where(inside, people_in(actor, wanted, ENTRY.c.user_id))
    if wanted.project_id is not None:
        found = found.where(ENTRY.c.project_id == wanted.project_id)
    groups = [group for group in wanted.groups if group in OF_CALENDAR]
    if not groups:
        return found.add_columns((end - start).label("length")).subquery()
    local = LocalTime(session, period)
    if wanted.attribution is Attribution.at_start:
        keys = (calendar.of_instant(group, local, start).label(group) for group in groups)
        return found.add_columns(*keys, (end - start).label("length")).subquery()
    worked = _worked(session, found, local, start, end)
    within_a_day = select(
        *worked.c[Group.user, Group.project],
        *(calendar.of_day(group, worked.c.day).label(group) for group in groups),
        (worked.c.end - worked.c.start).label("length"),
    ).where(worked.c.last_day <= worked.c.day)
    return union_all(within_a_day, _over_midnight(session, worked, local, calendar, groups)).subquery()


def _worked(
    session: Session,
    found: Select[Any],
    local: LocalTime,
    start: ColumnElement[datetime],
    end: ColumnElement[datetime],
) -> CTE:
    """The entries, from when to when each counts, in seconds since 1970, and its first and last day."""
    clipped = found.add_columns(
        ENTRY.c.id,
        unix_seconds(session, start).label("start"),
        unix_seconds(session, end).label("end"),
        ENTRY.c.time_zone,
    ).cte("clipped")
    clipped = clipped.prefix_with("MATERIALIZED", dialect="postgresql")  # else it works out each figure many times
    local = local.of_zone(clipped.c.time_zone)
    day, last_day = (local.day(second) for second in (clipped.c.start, clipped.c.end - 1))
    # Where nothing lasts, the last day may be the one before the first.
    return select(clipped, day.label("day"), last_day.label("last_day")).cte("worked")


def _over_midnight(
    session: Session, worked: CTE, local: LocalTime, calendar: CalendarKeys, groups: Sequence[Group]
) -> Select[Any]:
    """Entries that reach into another day, cut at each midnight, and what has the same keys put together again."""
    kept = ("id", Group.user, Group.project, "start", "end", "last_day", "time_zone")
    cut = select(*worked.c[*kept, "day"]).where(worked.c.last_day > worked.c.day).cte("cut", recursive=True)
    cut = cut.union_all(select(*cut.c[kept], cut.c.day + 1).where(cut.c.day < cut.c.last_day))
    local = local.of_zone(cut.c.time_zone)
    begins = latest(session, cut.c.start, local.begins(cut.c.day))
    ends = earliest(session, cut.c.end, local.begins(cut.c.day + 1))
    keys = (calendar.of_day(group, cut.c.day).label(group) for group in groups)
    pieces = select(*cut.c["id", Group.user, Group.project], *keys, (ends - begins).label("length")).subquery()
    columns = pieces.c[Group.user, Group.project, *groups]
    return (
        select(*columns, cast(func.sum(pieces.c.length), BigInteger).label("length"))
        .where(pieces.c.length > 0)  # a day that the zone left out has nothing in it
        .group_by(pieces.c.id, *columns)
    )

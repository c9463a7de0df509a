"""What a summary adds up: entries, or what of them lies inside each local day, with the keys of their groups."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Subquery, cast, func, select

from app.core.database.session import Session
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution
from app.schemas.reports.summary import Group, SummaryWanted
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.calendar.attribution import inside_of
from app.services.calendar.group_keys import OF_CALENDAR, CalendarKeys
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import Period, ResolvedPeriod, resolve
from app.services.calendar.segments import stretches


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
    `length`, which `whole_seconds` understands."""
    people = people_in(actor, wanted, USER.c.id)
    resolved = resolve(session, period)
    inside, start, end = inside_of(session, resolved, wanted.attribution, people)
    found = select(ENTRY.c.user_id.label(Group.user), ENTRY.c.project_id.label(Group.project))
    found = found.where(inside, people_in(actor, wanted, ENTRY.c.user_id))
    if wanted.project_id is not None:
        found = found.where(ENTRY.c.project_id == wanted.project_id)
    groups = [group for group in wanted.groups if group in OF_CALENDAR]
    if not groups:
        return found.add_columns((end - start).label("length")).subquery()
    local = LocalTime(resolved)
    if wanted.attribution is Attribution.at_start:
        keys = (calendar.of_instant(group, local, start).label(group) for group in groups)
        return found.add_columns(*keys, (end - start).label("length")).subquery()
    return _cut(session, resolved, wanted, people, calendar, groups)


def _cut(
    session: Session,
    resolved: ResolvedPeriod,
    wanted: SummaryWanted,
    people: ColumnElement[bool],
    calendar: CalendarKeys,
    groups: Sequence[Group],
) -> Subquery:
    """The closed entries cut at each midnight, and what has the same keys put together again."""
    found = stretches(session, resolved, wanted.attribution, people)
    entry = found.entry.c
    day = LocalTime(resolved).of_zone(entry.time_zone).day(found.start)
    pieces = select(
        entry.id,
        entry.user_id.label(Group.user),
        entry.project_id.label(Group.project),
        *(calendar.of_day(group, day).label(group) for group in groups),
        found.seconds.label("length"),
    ).where(found.belongs, entry.end_time.is_not(None))
    if wanted.project_id is not None:
        pieces = pieces.where(entry.project_id == wanted.project_id)
    cut = pieces.subquery()
    columns = cut.c[Group.user, Group.project, *groups]
    length = cast(func.sum(cut.c.length), BigInteger).label("length")
    return select(*columns, length).group_by(cut.c.id, *columns).subquery()

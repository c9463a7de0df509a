"""The rows that a summary adds up: entries, or their segments by local day, with the keys of their groups."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Subquery, cast, func, select

from app.core.database.session import Session
from app.models.tables import ENTRY, USER
from app.schemas.reports.report import Attribution
from app.schemas.reports.summary import SummaryGroup, SummaryQuery
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.calendar.attribution import clipped_interval
from app.services.calendar.group_keys import CALENDAR_GROUPS, CalendarKeys
from app.services.calendar.local_time import LocalTime
from app.services.calendar.periods import Period, ResolvedPeriod, resolve
from app.services.calendar.segments import entry_segments
from app.services.time_entries.entries import only_clause


def users_in_summary(actor: Actor, query: SummaryQuery, user_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that the user of a row is visible to the actor and matches the filters."""
    condition = visibility.visible_to(actor, user_id)
    if query.user_id is not None:
        condition &= user_id == query.user_id
    if query.team_id is not None:
        condition &= user_id.in_(visibility.team_ids(query.team_id, include_indirect=False))
    return condition


def summary_segments(
    session: Session, actor: Actor, period: Period, query: SummaryQuery, calendar: CalendarKeys, *, at: datetime
) -> Subquery:
    """Return a subquery with one row for each entry and combination of group keys.

    The columns are the keys, named after their groups (all but the team), `needs_review`, and `length`, the input of
    `whole_seconds`.
    """
    users = users_in_summary(actor, query, USER.c.id)
    resolved = resolve(session, period, users)
    is_included, start, end = clipped_interval(session, resolved, query.attribution, users)
    statement = select(
        ENTRY.c.user_id.label(SummaryGroup.user), ENTRY.c.project_id.label(SummaryGroup.project), ENTRY.c.needs_review
    )
    is_visible = users_in_summary(actor, query, ENTRY.c.user_id)
    statement = statement.where(is_included, is_visible, only_clause(query.only, ENTRY))
    if query.project_id is not None:
        statement = statement.where(ENTRY.c.project_id == query.project_id)
    groups = [group for group in query.groups if group in CALENDAR_GROUPS]
    if not groups:
        return statement.add_columns((end - start).label("length")).subquery()
    local = LocalTime(resolved)
    if query.attribution is Attribution.at_start:
        keys = (calendar.key_of_instant(group, local, start).label(group) for group in groups)
        return statement.add_columns(*keys, (end - start).label("length")).subquery()
    return _split_segments(session, resolved, query, users, calendar, groups, at=at)


def _split_segments(
    session: Session,
    resolved: ResolvedPeriod,
    query: SummaryQuery,
    users: ColumnElement[bool],
    calendar: CalendarKeys,
    groups: Sequence[SummaryGroup],
    *,
    at: datetime,
) -> Subquery:
    """Split the closed entries at each local midnight, then add up the segments of an entry that have the same keys."""
    segments = entry_segments(session, resolved, query.attribution, users, at=at)
    entry = segments.entry.c
    day = LocalTime(resolved).with_zone(entry.time_zone).day(segments.start)
    statement = select(
        entry.id,
        entry.user_id.label(SummaryGroup.user),
        entry.project_id.label(SummaryGroup.project),
        *(calendar.key_of_day(group, day).label(group) for group in groups),
        entry.needs_review,
        segments.seconds.label("length"),
    ).where(segments.is_included, entry.end_time.is_not(None), only_clause(query.only, segments.entry))
    if query.project_id is not None:
        statement = statement.where(entry.project_id == query.project_id)
    day_segments = statement.subquery()
    columns = day_segments.c[SummaryGroup.user, SummaryGroup.project, *groups, "needs_review"]
    length = cast(func.sum(day_segments.c.length), BigInteger).label("length")
    return select(*columns, length).group_by(day_segments.c.id, *columns).subquery()

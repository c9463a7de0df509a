"""Empty groups of a summary, added with 0 seconds if the request asks for them (`fill`)."""

from collections.abc import Sequence
from itertools import chain, product
from math import prod
from typing import NamedTuple

from sqlalchemy import exists, or_, select

from app.core.database.session import Session
from app.core.errors import Invalid
from app.models.tables import PROJECT, PROJECT_MEMBER, USER, full_name
from app.schemas.reports.summary import SummaryGroup, SummaryQuery
from app.services.access.actor import Actor
from app.services.calendar.group_keys import CALENDAR_GROUPS, CalendarKeys
from app.services.reports.summary_query import users_in_summary

Keys = tuple[int | None, ...]


class GroupTotals(NamedTuple):
    """The totals of one row. Seconds in review are those of entries that need review."""

    seconds: int = 0
    needs_review_seconds: int = 0
    entries: int = 0
    users: int = 0


Totals = dict[Keys, GroupTotals]
"""The totals by the groups' keys."""
Names = dict[SummaryGroup, dict[int | None, str | None]]
_MANAGER = USER.alias("manager")


class SummaryTooLarge(Invalid):
    code = "summary_too_large"
    title = "Summary too large"


def add_empty_groups(
    session: Session,
    actor: Actor,
    query: SummaryQuery,
    calendar: CalendarKeys,
    totals: Totals,
    names: Names,
    *,
    max_rows: int,
) -> None:
    """Add every missing combination of group keys to `totals`, with zero values.

    The keys are the days of the period and the active visible users, each with their team. For projects, they are the
    active projects that one of these users may book. Raises SummaryTooLarge above `max_rows` combinations.
    """
    dimensions: list[tuple[Sequence[SummaryGroup], Sequence[Keys]]] = []
    if user_groups := [group for group in (SummaryGroup.user, SummaryGroup.team) if group in query.groups]:
        dimensions.append((user_groups, _user_keys(session, actor, query, user_groups, names, max_rows=max_rows)))
    if SummaryGroup.project in query.groups:
        dimensions.append(([SummaryGroup.project], _project_keys(session, actor, query, names, max_rows=max_rows)))
    if calendar_groups := [group for group in query.groups if group in CALENDAR_GROUPS]:
        dimensions.append((calendar_groups, calendar.combinations(calendar_groups)))
    if prod(len(keys) for _, keys in dimensions) > max_rows:
        raise summary_too_large(max_rows)
    order = [group for groups, _ in dimensions for group in groups]
    indexes = [order.index(group) for group in query.groups]
    for combination in product(*(keys for _, keys in dimensions)):
        values = tuple(chain.from_iterable(combination))
        totals.setdefault(tuple(values[index] for index in indexes), GroupTotals())


def summary_too_large(max_rows: int) -> SummaryTooLarge:
    return SummaryTooLarge(f"The summary has more than {max_rows:,} rows. Choose fewer groups, users or days.")


def _user_keys(
    session: Session, actor: Actor, query: SummaryQuery, groups: Sequence[SummaryGroup], names: Names, *, max_rows: int
) -> list[Keys]:
    columns = {
        SummaryGroup.user: (USER.c.id, full_name(USER)),
        SummaryGroup.team: (USER.c.manager_id, full_name(_MANAGER)),
    }
    statement = select(*(columns[group][0] for group in groups), *(columns[group][1] for group in groups))
    statement = (
        statement.select_from(USER).where(USER.c.is_active, users_in_summary(actor, query, USER.c.id)).distinct()
    )
    if SummaryGroup.team in groups:
        statement = statement.outerjoin(_MANAGER, _MANAGER.c.id == USER.c.manager_id)
    rows = session.execute(statement.limit(max_rows + 1)).all()
    count = len(groups)
    for index, group in enumerate(groups):
        names[group] |= {row[index]: row[count + index] for row in rows}
    return [tuple(row[:count]) for row in rows]


def _project_keys(session: Session, actor: Actor, query: SummaryQuery, names: Names, *, max_rows: int) -> list[Keys]:
    """Return the keys of active projects that one of these users may book. Other projects must not be disclosed."""
    members = exists().where(PROJECT_MEMBER.c.project_id == PROJECT.c.id)
    statement = select(*PROJECT.c["id", "name"]).where(
        PROJECT.c.is_active, or_(~members, members.where(users_in_summary(actor, query, PROJECT_MEMBER.c.user_id)))
    )
    if query.project_id is not None:
        statement = statement.where(PROJECT.c.id == query.project_id)
    rows = session.execute(statement.limit(max_rows + 1)).all()
    names[SummaryGroup.project] |= {row.id: row.name for row in rows}
    return [(row.id,) for row in rows]

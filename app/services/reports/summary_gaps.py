"""The groups of a summary in which nobody worked."""

from collections.abc import Sequence
from itertools import chain, product
from math import prod

from sqlalchemy import exists, or_, select

from app.core.database.session import Session
from app.core.errors import Invalid
from app.models.tables import MEMBER, PROJECT, USER, full_name
from app.schemas.reports.summary import Group, SummaryWanted
from app.services.access.actor import Actor
from app.services.calendar.group_keys import OF_CALENDAR, CalendarKeys
from app.services.reports.summary_query import people_in

Keys = tuple[int | None, ...]
Figures = dict[Keys, tuple[int, int, int]]
"""Seconds, entries and people by the groups' keys."""
Names = dict[Group, dict[int | None, str | None]]
_MANAGER = USER.alias("manager")


class SummaryTooLarge(Invalid):
    code = "summary_too_large"
    title = "Summary too large"


def fill(
    session: Session,
    actor: Actor,
    wanted: SummaryWanted,
    calendar: CalendarKeys,
    figures: Figures,
    names: Names,
    *,
    at_most: int,
) -> None:
    """Add what is missing of all combinations of the period's days, active people in sight, each with their own team,
    and active projects that one of them may book. Raises SummaryTooLarge before there are more than so many."""
    dimensions: list[tuple[Sequence[Group], Sequence[Keys]]] = []
    if who := [group for group in (Group.user, Group.team) if group in wanted.groups]:
        dimensions.append((who, _people(session, actor, wanted, who, names, at_most=at_most)))
    if Group.project in wanted.groups:
        dimensions.append(([Group.project], _projects(session, actor, wanted, names, at_most=at_most)))
    if when := [group for group in wanted.groups if group in OF_CALENDAR]:
        dimensions.append((when, calendar.all_of(when)))
    if prod(len(keys) for _, keys in dimensions) > at_most:
        raise too_large(at_most)
    order = [group for groups, _ in dimensions for group in groups]
    places = [order.index(group) for group in wanted.groups]
    for combination in product(*(keys for _, keys in dimensions)):
        found = tuple(chain.from_iterable(combination))
        figures.setdefault(tuple(found[place] for place in places), (0, 0, 0))


def too_large(at_most: int) -> SummaryTooLarge:
    return SummaryTooLarge(f"That makes more than {at_most:,} rows. Ask for fewer groups, people or days.")


def _people(
    session: Session, actor: Actor, wanted: SummaryWanted, groups: Sequence[Group], names: Names, *, at_most: int
) -> list[Keys]:
    columns = {
        Group.user: (USER.c.id, full_name(USER)),
        Group.team: (USER.c.manager_id, full_name(_MANAGER)),
    }
    found = select(*(columns[group][0] for group in groups), *(columns[group][1] for group in groups))
    found = found.select_from(USER).where(USER.c.is_active, people_in(actor, wanted, USER.c.id)).distinct()
    if Group.team in groups:
        found = found.outerjoin(_MANAGER, _MANAGER.c.id == USER.c.manager_id)
    rows = session.execute(found.limit(at_most + 1)).all()
    count = len(groups)
    for place, group in enumerate(groups):
        names[group] |= {row[place]: row[count + place] for row in rows}
    return [tuple(row[:count]) for row in rows]


def _projects(session: Session, actor: Actor, wanted: SummaryWanted, names: Names, *, at_most: int) -> list[Keys]:
    """Active projects that somebody of these people may book: those of others aren't theirs to know."""
    members = exists().where(MEMBER.c.project_id == PROJECT.c.id)
    found = select(*PROJECT.c["id", "name"]).where(
        PROJECT.c.is_active, or_(~members, members.where(people_in(actor, wanted, MEMBER.c.user_id)))
    )
    if wanted.project_id is not None:
        found = found.where(PROJECT.c.id == wanted.project_id)
    rows = session.execute(found.limit(at_most + 1)).all()
    names[Group.project] |= {row.id: row.name for row in rows}
    return [(row.id,) for row in rows]

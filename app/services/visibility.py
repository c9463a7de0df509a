"""Who may see whom: the one place. Every read of rows that belong to people starts here; filters only narrow it.

Employees see themselves; managers also their team, direct and indirect; admins everyone. Scope is today's team.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, literal, select, true

from app.models.user import Role
from app.services.identity import USER, Actor


def team_ids(manager_id: int, *, include_indirect: bool) -> Select[tuple[int]]:
    """Ids of the people who report to the manager, or with `include_indirect` to anyone below. Not the manager."""
    direct = select(USER.c.id).where(USER.c.manager_id == manager_id)
    if not include_indirect:
        return direct
    below = direct.cte(recursive=True)
    # UNION, not UNION ALL: a circle of managers that found its way into the table still ends.
    below = below.union(select(USER.c.id).where(USER.c.manager_id == below.c.id))
    return select(below.c.id).where(below.c.id != manager_id)


def in_sight(actor: Actor, person_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that the person of a row is one whom the actor may see."""
    match actor.role:
        case Role.admin:
            return true()
        case Role.manager:
            own_and_team = team_ids(actor.id, include_indirect=True).union(select(literal(actor.id)))
            return person_id.in_(own_and_team)
        case Role.employee:
            return person_id == actor.id

"""Who may see whom: the one place. Every read of rows that belong to people starts here; filters only narrow it.

Employees see themselves; managers also their team, direct and indirect; admins everyone. Scope is today's team.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select, true

from app.core.database.session import Session
from app.models.tables import USER
from app.models.users import Role
from app.schemas.reports.report import ReportScope
from app.services.access.actor import Actor
from app.services.access.authentication import require_role
from app.services.access.errors import UserNotFound

SMALL_TEAM_SIZE = 100


def team_ids(manager_id: int, *, include_indirect: bool) -> Select[tuple[int]]:
    """Ids of the people who report to the manager, or with `include_indirect` to anyone below. Not the manager."""
    direct = select(USER.c.id).where(USER.c.manager_id == manager_id)
    if not include_indirect:
        return direct
    below = direct.cte(recursive=True)
    # UNION, not UNION ALL: a circle of managers that found its way into the table still ends.
    below = below.union(select(USER.c.id).where(USER.c.manager_id == below.c.id))
    return select(below.c.id).where(below.c.id != manager_id)


def require_visible(session: Session, actor: Actor, user_ids: set[int]) -> None:
    """Raises UserNotFound unless the actor may see, and so act for, each of these people."""
    visible = select(func.count()).select_from(USER).where(USER.c.id.in_(user_ids), visible_to(actor, USER.c.id))
    if user_ids - {actor.id} and session.execute(visible).scalar_one() != len(user_ids):
        raise UserNotFound("There is no such person for you.")


def has_small_team(session: Session, actor: Actor) -> bool:
    """Whether the actor is a manager who sees no more than SMALL_TEAM_SIZE people: few enough to look at one by one."""
    if actor.role is not Role.manager:
        return False
    visible = select(USER.c.id).where(visible_to(actor, USER.c.id)).limit(SMALL_TEAM_SIZE + 1)
    return len(session.execute(visible).all()) <= SMALL_TEAM_SIZE


def visible_to(actor: Actor, user_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that the person of a row is one whom the actor may see."""
    match actor.role:
        case Role.admin:
            return true()
        case Role.manager:
            own_and_team = team_ids(actor.id, include_indirect=True).union(select(literal(actor.id)))
            return user_id.in_(own_and_team)
        case Role.employee:
            return user_id == actor.id


def users_in_report(actor: Actor, *, scope: ReportScope, include_indirect: bool) -> ColumnElement[bool]:
    """The condition that a user is in the actor's report. Raises RoleRequired for `scope=all` unless an admin asks."""
    if scope is ReportScope.all:
        require_role(actor, Role.admin)
        return visible_to(actor, USER.c.id)
    return USER.c.id.in_(team_ids(actor.id, include_indirect=include_indirect))  # in sight, and no more

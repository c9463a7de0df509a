"""Visibility of users. Every read of rows that belong to users starts from a condition of this module.

Employees see themselves. Managers also see their direct and indirect reports. Admins see all users. The current team
counts, also for entries from the time of another manager. Filters can only narrow the result.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, true

from app.core.database.session import Session
from app.core.security.access_tokens import Claims
from app.models.tables import USER
from app.models.users import Role
from app.schemas.reports.report import ReportScope
from app.services.access.actor import Actor
from app.services.access.authentication import authenticate, authenticate_unlocked, require_role
from app.services.access.errors import UserNotFound

SMALL_TEAM_SIZE = 100


def team_ids(manager_id: int, *, include_indirect: bool) -> Select[tuple[int]]:
    """Return a query for the ids of the manager's direct reports, or with `include_indirect` of all reports below.

    The manager is not included.
    """
    direct = select(USER.c.id).where(USER.c.manager_id == manager_id)
    if not include_indirect:
        return direct
    below = direct.cte(recursive=True)
    # UNION, not UNION ALL, so that the recursion ends even if the table contains a manager cycle.
    below = below.union(select(USER.c.id).where(USER.c.manager_id == below.c.id))
    return select(below.c.id).where(below.c.id != manager_id)


def lock_visible(
    session: Session, claims: Claims, is_concerned: ColumnElement[bool] | None
) -> tuple[Actor, dict[int, str]]:
    """Lock the caller and the users concerned whom the caller may see. Return the caller, and time zones by user id.

    `is_concerned` is a condition on USER, or None for the caller alone. The caller's rights are read twice: first to
    lock no user whom the caller may not see, then behind the locks, so that they are still valid at the commit. Raises
    what `authenticate` raises.
    """
    if is_concerned is None:
        actor = authenticate(session, claims)
        return actor, {actor.id: actor.time_zone}
    caller = authenticate_unlocked(session, claims)
    user_ids = session.scalars(select(USER.c.id).where(is_concerned, visible_to(caller, USER.c.id))).all()
    actor = authenticate(session, claims, beside=user_ids)
    zones = {actor.id: actor.time_zone}
    if set(user_ids) - {actor.id}:
        locked = select(USER.c.id, USER.c.time_zone).where(USER.c.id.in_(user_ids), visible_to(actor, USER.c.id))
        zones |= {row.id: row.time_zone for row in session.execute(locked)}
    return actor, zones


def require_visible(session: Session, actor: Actor, user_ids: set[int]) -> None:
    """Raise UserNotFound unless the actor may see, and therefore act for, each of these users."""
    visible = select(func.count()).select_from(USER).where(USER.c.id.in_(user_ids), visible_to(actor, USER.c.id))
    if user_ids - {actor.id} and session.execute(visible).scalar_one() != len(user_ids):
        raise UserNotFound("There is no user with this id that you may see.")


def may_decide(actor: Actor, user_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that the actor decides on the time of a row's user: in sight, and not the actor.

    Employees see nobody else, so only managers and admins decide. See `is_without_decider` for the exception.
    """
    return visible_to(actor, user_id) & (user_id != actor.id)


def is_without_decider(session: Session, user_id: int) -> bool:
    """Return True if nobody else could decide on the user's time: no active manager above, and no other active admin.

    Then what the user submits is decided at once, and the user reopens it.
    """
    above = select(USER.c.manager_id).where(USER.c.id == user_id).cte(recursive=True)
    above = above.union(select(USER.c.manager_id).where(USER.c.id == above.c.manager_id))
    is_above = USER.c.id.in_(select(above.c.manager_id).where(above.c.manager_id.is_not(None)))
    decides = and_(USER.c.is_active, USER.c.id != user_id, or_(USER.c.role == Role.admin, is_above))
    return session.execute(select(USER.c.id).where(decides).limit(1)).first() is None


def has_small_team(session: Session, actor: Actor) -> bool:
    """Return True if the actor is a manager who sees at most SMALL_TEAM_SIZE users.

    For so few users, one index scan for each user is faster than one scan over all entries.
    """
    if actor.role is not Role.manager:
        return False
    visible = select(USER.c.id).where(visible_to(actor, USER.c.id)).limit(SMALL_TEAM_SIZE + 1)
    return len(session.execute(visible).all()) <= SMALL_TEAM_SIZE


def visible_to(actor: Actor, user_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that the actor may see the user of a row, whose id is the column `user_id`."""
    match actor.role:
        case Role.admin:
            return true()
        case Role.manager:
            own_and_team = team_ids(actor.id, include_indirect=True).union(select(literal(actor.id)))
            return user_id.in_(own_and_team)
        case Role.employee:
            return user_id == actor.id


def users_in_report(actor: Actor, *, scope: ReportScope, include_indirect: bool) -> ColumnElement[bool]:
    """Return the condition that a user is in the actor's report.

    Raises RoleRequired if `scope` is `all` and the actor is not an admin.
    """
    if scope is ReportScope.all:
        require_role(actor, Role.admin)
        return visible_to(actor, USER.c.id)
    return USER.c.id.in_(team_ids(actor.id, include_indirect=include_indirect))  # always a subset of the visible users

"""Checks of changes by admins: which admins remain, who can be a manager, and what API tokens cannot grant."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import bindparam, select

from app.core.database.session import Session
from app.core.security.passwords import UNUSABLE_PASSWORD
from app.models.tables import USER
from app.models.users import Role
from app.services import period_locks
from app.services.access.actor import Actor, UserRow
from app.services.access.api_token_limits import require_login_session
from app.services.users.errors import HasReports, LastAdmin, ManagerInactive, ManagerInvalid, ManagerNotFound

_ACTIVE_ADMINS = select(USER.c.id).where(USER.c.role == Role.admin, USER.c.is_active).limit(2)
_MANAGERS = select(USER.c.manager_id).where(USER.c.manager_id.in_(bindparam("user_ids", expanding=True))).distinct()


def check_may_create_role(actor: Actor | None, role: Role) -> None:
    """Raise ScopeRequired if an API token would create an admin. Its holder could then log in as that admin."""
    if role is Role.admin:
        require_login_session(actor, "create an admin")


def check_may_assign(actor: Actor | None, manager_password_hash: str) -> None:
    """Raise ScopeRequired if an API token would assign users to a manager without a password.

    The token may have created this manager. A manager gets a password only if an admin's login session sets it or
    creates a link, so the admin has then seen the account.
    """
    if manager_password_hash == UNUSABLE_PASSWORD:
        require_login_session(actor, "assign users to a manager who has no password yet")


def check_manager(session: Session, actor: Actor | None, manager_id: int) -> None:
    """Raise ManagerNotFound, ManagerInvalid or ManagerInactive, and for API tokens the errors of `check_may_assign`."""
    columns = USER.c["role", "is_active", "password_hash"]
    manager = session.execute(select(*columns).where(USER.c.id == manager_id)).one_or_none()
    if manager is None:
        raise ManagerNotFound("There is no user with the id in manager_id.")
    if manager.role not in (Role.manager, Role.admin):
        raise ManagerInvalid(
            "The user in manager_id is an employee. Change their role first, or choose another manager."
        )
    if not manager.is_active:
        raise ManagerInactive("This manager is deactivated. Choose another manager.")
    check_may_assign(actor, manager.password_hash)


def find_managers(session: Session, user_ids: Collection[int]) -> set[int]:
    """Return those of the users who have direct reports."""
    return {row.manager_id for row in session.execute(_MANAGERS, {"user_ids": user_ids})}


def find_last_admin(session: Session) -> int | None:
    """Return the id of the only active admin, or None if there are several."""
    admins = session.execute(_ACTIVE_ADMINS).all()
    return admins[0].id if len(admins) == 1 else None


def check_new_role(
    actor: Actor | None, user: UserRow, role: Role, *, last_admin: int | None, managers: Collection[int]
) -> None:
    """Raise LastAdmin, or HasReports if a user with direct reports would become an employee. The role is a new one.

    Raises ScopeRequired if an API token would give a user more rights. The last arguments are the results of
    `find_last_admin` and `find_managers`.
    """
    if role is not Role.employee:
        require_login_session(actor, "give a user more rights")
    check_admin_remains(user, last_admin)
    if role is Role.employee and user.id in managers:
        raise HasReports("This user has direct reports. Give them another manager first.")


def check_admin_remains(user: UserRow, last_admin: int | None) -> None:
    """Raise LastAdmin if the user is the last active admin, who can neither be deactivated nor get another role."""
    if user.id == last_admin:
        raise LastAdmin("This user is the last active admin. Make another user an admin first.")


def check_new_email(actor: Actor | None) -> None:
    """Raise ScopeRequired if an API token would change an e-mail address."""
    require_login_session(actor, "change an e-mail, to which password links are sent,")


def check_activation(session: Session, actor: Actor | None, user: UserRow, *, at: datetime) -> None:
    """Raise TimesheetLocked if the present period was submitted meanwhile. Raises ScopeRequired for an API token."""
    require_login_session(actor, "activate a user")
    period_locks.check_present_day(session, user.id or 0, user.time_zone, at=at)

"""Checks of roles and managers: which admins remain, who can be a manager, and what API tokens cannot grant."""

from sqlalchemy import select

from app.core.database.session import Session
from app.core.security.passwords import UNUSABLE_PASSWORD
from app.models.tables import USER
from app.models.users import Role, User
from app.services.access.actor import Actor
from app.services.access.api_token_limits import require_login_session
from app.services.users.errors import HasReports, LastAdmin, ManagerInactive, ManagerInvalid, ManagerNotFound


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


def check_demotion(session: Session, user: User, role: Role) -> None:
    """Raise LastAdmin, or HasReports if a user with direct reports would become an employee."""
    if user.role is Role.admin:
        check_admin_remains(session, user)
    if role is Role.employee and session.execute(select(USER.c.id).where(USER.c.manager_id == user.id)).first():
        raise HasReports("This user has direct reports. Give them another manager first.")


def check_admin_remains(session: Session, user: User) -> None:
    """Raise LastAdmin if the user is the last active admin."""
    if user.role is not Role.admin or not user.is_active:
        return
    others = select(USER.c.id).where(USER.c.role == Role.admin, USER.c.is_active, USER.c.id != user.id)
    if session.execute(others).first() is None:
        raise LastAdmin("This user is the last active admin. Make another user an admin first.")

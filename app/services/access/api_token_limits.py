"""Limits on API tokens with the scope `admin`. A token must not lead to a login, or to access after its revocation.

A login session has no scopes, outlasts the token, and bypasses its expiry. So operations that give access to an account
need an admin's login session.
"""

from app.core.database.session import Session
from app.models.users import Role, User
from app.services.access import locks
from app.services.access.actor import Actor, UserRow
from app.services.access.errors import ScopeRequired


def require_login_session(actor: Actor | None, action: str) -> None:
    """Raise ScopeRequired if the actor uses an API token. `actor` is None for the operator."""
    if actor is not None and actor.uses_api_token:
        raise ScopeRequired(f"You cannot {action} with an API token. Log in, and send the access token.")


def require_may_change(actor: Actor | None, user: UserRow) -> None:
    """Raise ScopeRequired if an API token would change the account of an admin, including its owner's."""
    if user.role is Role.admin:
        require_login_session(actor, "change an admin's account")


def lock_for_change(session: Session, actor: Actor | None, user_id: int) -> User:
    """Lock a user for a change by an admin, and return the user's current state.

    Every operation of admins on a user starts here, because the role is only certain behind the lock. Raises
    UserNotFound, and the errors of `require_may_change`.
    """
    (user,) = locks.lock_users(session, user_id)
    require_may_change(actor, user)
    return user

"""The first admin of a new database. Without an admin, no one could log in and create users."""

from datetime import datetime

from sqlalchemy import or_, select

from app.core.config.settings import DEFAULT_ADMIN_PASSWORD, PUBLISHED_PASSWORDS, InvalidSettings
from app.core.database.session import Session
from app.core.security.passwords import hash_password, strength_problem, verify_password
from app.models.tables import USER
from app.models.users import Role, User
from app.schemas.users.user import NewUser
from app.services.access import locks
from app.services.users import administration
from app.services.users.errors import EmailTaken

_PUBLISHED_DOMAIN = "@example.com"
"""The domain of the default admin and of the demo company. It is reserved (RFC 2606), so nobody else has it."""


def ensure(session: Session, *, at: datetime) -> User | None:
    """Create the admin FIRST_ADMIN_EMAIL if the database has no admin, and return them. Otherwise return None.

    Raises InvalidSettings if FIRST_ADMIN_PASSWORD is weak or FIRST_ADMIN_EMAIL belongs to another user. If the service
    is exposed, also raises it if an active admin, or an account of the demo company, has a published password.
    """
    locks.lock_user_rules(session)
    _reject_published_password(session)
    if session.execute(select(USER.c.id).where(USER.c.role == Role.admin).limit(1)).first() is not None:
        return None
    password = session.settings.FIRST_ADMIN_PASSWORD.get_secret_value()
    if password != DEFAULT_ADMIN_PASSWORD and (reason := strength_problem(password)):
        raise InvalidSettings(f"FIRST_ADMIN_PASSWORD is too weak. {reason}")
    admin = NewUser(email=session.settings.FIRST_ADMIN_EMAIL, first_name="First", last_name="Admin", role=Role.admin)
    try:
        return administration.create(session, None, admin, password_hash=hash_password(password), at=at)
    except EmailTaken:
        raise InvalidSettings("FIRST_ADMIN_EMAIL belongs to a user who is not an admin. Set another address.") from None


def _reject_published_password(session: Session) -> None:
    if not session.settings.is_exposed:
        return
    accounts = select(USER.c.email, USER.c.password_hash).where(
        USER.c.is_active, or_(USER.c.role == Role.admin, USER.c.email_key.endswith(_PUBLISHED_DOMAIN))
    )
    emails_by_hash = {password_hash: email for email, password_hash in session.execute(accounts)}  # the demo's have one
    for password_hash, email in emails_by_hash.items():
        if any(verify_password(password, password_hash) for password in PUBLISHED_PASSWORDS):
            raise InvalidSettings(f"{email} still has a published password. Change it, then start again.")

"""The first admin of a database without one, so that somebody can log in and add the others."""

from datetime import datetime

from sqlalchemy import or_, select

from app.core.config.settings import DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD, InvalidSettings
from app.core.database.session import Session
from app.core.security.passwords import hash_password, strength_problem, verify_password
from app.core.text import casefold_key
from app.models.tables import USER
from app.models.users import Role, User
from app.schemas.users.user import NewUser
from app.services.access import locks
from app.services.users import administration
from app.services.users.errors import EmailTaken


def ensure(session: Session, *, at: datetime) -> User | None:
    """Create the admin of the settings where there is none yet; None where there is one.

    Raises InvalidSettings where the service is exposed and an account has or would get a password that everybody knows.
    """
    locks.lock_user_rules(session)
    if session.execute(select(USER.c.id).where(USER.c.role == Role.admin).limit(1)).first() is not None:
        _refuse_published_password(session)
        return None
    password = session.settings.FIRST_ADMIN_PASSWORD.get_secret_value()
    if password != DEFAULT_ADMIN_PASSWORD and (reason := strength_problem(password)):
        raise InvalidSettings(f"FIRST_ADMIN_PASSWORD won't do. {reason}")
    admin = NewUser(email=session.settings.FIRST_ADMIN_EMAIL, first_name="First", last_name="Admin", role=Role.admin)
    try:
        return administration.create(session, None, admin, password_hash=hash_password(password), at=at)
    except EmailTaken:
        raise InvalidSettings("FIRST_ADMIN_EMAIL belongs to somebody who is no admin: set it to another.") from None


def _refuse_published_password(session: Session) -> None:
    if not session.settings.is_exposed:
        return
    accounts = select(USER.c.email, USER.c.password_hash).where(
        USER.c.is_active, or_(USER.c.role == Role.admin, USER.c.email_key == casefold_key(DEFAULT_ADMIN_EMAIL))
    )
    for email, password_hash in session.execute(accounts):
        if verify_password(DEFAULT_ADMIN_PASSWORD, password_hash):
            raise InvalidSettings(f"{email} still has the published password: change it, then start again.")

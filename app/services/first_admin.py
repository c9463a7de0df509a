"""The first admin of an empty database, so that somebody can log in and add the others."""

from datetime import datetime

from sqlalchemy import select

from app.core.config import DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD, BadSettings
from app.core.db import Session
from app.core.passwords import hash_password, verify_password, weakness
from app.core.text import text_key
from app.models.user import Role, User
from app.schemas.user import NewPerson
from app.services import people, users
from app.services.identity import USER


def ensure(session: Session, *, at: datetime) -> User | None:
    """Create the admin of the settings where nobody is there yet; None where somebody is.

    Raises BadSettings where the service is exposed and an account has, or would get, a password that everybody knows.
    """
    people.lock_rules(session)
    if session.execute(select(USER.c.id).limit(1)).first() is not None:
        _refuse_published_password(session)
        return None
    password = session.settings.FIRST_ADMIN_PASSWORD.get_secret_value()
    if password != DEFAULT_ADMIN_PASSWORD and (reason := weakness(password)):
        raise BadSettings(f"FIRST_ADMIN_PASSWORD won't do. {reason}")
    admin = NewPerson(email=session.settings.FIRST_ADMIN_EMAIL, first_name="First", last_name="Admin", role=Role.admin)
    return users.create(session, None, admin, password_hash=hash_password(password), at=at)


def _refuse_published_password(session: Session) -> None:
    if not session.settings.is_exposed:
        return
    stored = session.execute(
        select(USER.c.password_hash).where(USER.c.email_key == text_key(DEFAULT_ADMIN_EMAIL), USER.c.is_active)
    ).scalar_one_or_none()
    if stored is not None and verify_password(DEFAULT_ADMIN_PASSWORD, stored):
        raise BadSettings(f"{DEFAULT_ADMIN_EMAIL} still has the published password: change it, then start again.")

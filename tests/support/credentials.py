"""Credentials created without HTTP: login sessions, API tokens, second factors and password links."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp

from app.core.database.session import Database
from app.core.security.access_tokens import Claims, TokenScope
from app.core.time.clock import utc_now
from app.models.users import User
from app.schemas.auth.api_token import ApiTokenCreate, ApiTokenCreated
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.auth import api_tokens, login_sessions, passwords, second_factor
from app.services.auth.login_sessions import Client, IssuedSession
from tests.support.factories import OPERATOR

TEST_CLIENT = Client("127.0.0.1", "a test")


@dataclass(frozen=True)
class Authenticator:
    """An authenticator app and the recovery codes of a user."""

    secret: str
    recovery_codes: list[str]

    def code(self, *, at: datetime | None = None, steps: int = 0) -> str:
        """Return the one-time code at an instant, or some 30-second steps after it."""
        return str(pyotp.TOTP(self.secret).at((at or utc_now()) + timedelta(seconds=30 * steps)))


def create_login_session(
    database: Database, user: User, *, at: datetime | None = None, is_recorded: bool = False
) -> IssuedSession:
    """Create a login session for the user. If `is_recorded` is true, record the login, as the service does."""
    at = at or utc_now()
    with database.write_transaction("test") as session:
        issued = login_sessions.issue(session, user.id or 0, TEST_CLIENT, at=at)
        after = login_sessions.event_fields(session, issued) | {"second_factor": False}
        if is_recorded:
            recorder.record(session, "login:accept", at=at, actor_id=user.id, subject_id=user.id, after=after)
        return issued


def create_claims(database: Database, user: User, *, is_recorded: bool = False) -> Claims:
    """Return the claims of an access token for the user that is valid for several days."""
    login_session = create_login_session(database, user, is_recorded=is_recorded)
    return Claims(user.id or 0, utc_now(), session_id=login_session.session_id)


def create_api_token(database: Database, user: User, *scopes: str, name: str = "Terminal") -> ApiTokenCreated:
    """Create an API token for the user that is valid for a week."""
    data = ApiTokenCreate.model_construct(
        name=name, scopes=[TokenScope(scope) for scope in scopes], expires_at=utc_now() + timedelta(days=7)
    )
    with database.write_transaction("test") as session:
        return api_tokens.issue(session, _actor(user), data, at=utc_now())


def create_second_factor(database: Database, user: User) -> Authenticator:
    """Create a second factor that the user confirmed yesterday."""
    yesterday = utc_now() - timedelta(days=1)
    with database.write_transaction("test") as session:
        (locked_user,) = locks.lock_users(session, user.id or 0)
        secret = second_factor.create_secret(session, _actor(user), locked_user, at=yesterday).secret
        code = str(pyotp.TOTP(secret).at(yesterday))
        confirmed = second_factor.confirm(session, _actor(user), code, at=yesterday)
        return Authenticator(secret, confirmed.recovery_codes)


def create_password_link(database: Database, user: User, *, at: datetime | None = None) -> str:
    """Create a password link for the user and return its token. The issuing admin is not in the database."""
    with database.write_transaction("test") as session:
        return passwords.create_link(session, OPERATOR, user.id or 0, at=at or utc_now()).token


def _actor(user: User) -> Actor:
    return Actor(user.id or 0, user.role, user.time_zone)

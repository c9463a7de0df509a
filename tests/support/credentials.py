"""What people prove themselves with, made without asking the service: sessions, API tokens, second factors, links."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp

from app.core.database.session import Database
from app.core.security.access_tokens import Claims, TokenScope
from app.core.time.clock import utc_now
from app.models.users import Role, User
from app.schemas.auth.api_token import ApiTokenCreate, ApiTokenCreated
from app.services.access.actor import Actor
from app.services.auth import api_tokens, passwords, second_factor, sessions
from app.services.auth.sessions import Client, Opened

HERE = Client("127.0.0.1", "a test")


@dataclass(frozen=True)
class Authenticator:
    """An app on somebody's phone, and the recovery codes in their drawer."""

    secret: str
    recovery_codes: list[str]

    def code(self, *, at: datetime | None = None, steps: int = 0) -> str:
        """What it shows at an instant, or so many half minutes later."""
        return str(pyotp.TOTP(self.secret).at((at or utc_now()) + timedelta(seconds=30 * steps)))


def session_of(database: Database, person: User, *, at: datetime | None = None) -> Opened:
    """A session of the person's, as a login opens it."""
    with database.writing("test") as session:
        return sessions.open_for(session, person.id or 0, HERE, at=at or utc_now())


def claims_of(database: Database, person: User) -> Claims:
    """What a request of the person's shows, now and for some days."""
    return Claims(person.id or 0, utc_now(), session_id=session_of(database, person).session_id)


def api_token_of(database: Database, person: User, *scopes: str, name: str = "Terminal") -> ApiTokenCreated:
    """An API token of the person's for the next week."""
    wanted = ApiTokenCreate.model_construct(
        name=name, scopes=[TokenScope(scope) for scope in scopes], expires_at=utc_now() + timedelta(days=7)
    )
    with database.writing("test") as session:
        return api_tokens.create(session, _actor(person), wanted, at=utc_now())


def second_factor_of(database: Database, person: User) -> Authenticator:
    """A second factor that the person confirmed yesterday."""
    yesterday = utc_now() - timedelta(days=1)
    with database.writing("test") as session:
        secret = second_factor.begin(session, _actor(person), at=yesterday).secret
        code = str(pyotp.TOTP(secret).at(yesterday))
        confirmed = second_factor.confirm(session, _actor(person), code, at=yesterday)
        return Authenticator(secret, confirmed.recovery_codes)


def link_of(database: Database, person: User, *, at: datetime | None = None) -> str:
    """The token of a link to set the person's password, by an admin whom nobody knows."""
    admin = Actor(2_000_000_000, Role.admin, "UTC")
    with database.writing("test") as session:
        return passwords.make_link(session, admin, person.id or 0, at=at or utc_now()).token


def _actor(person: User) -> Actor:
    return Actor(person.id or 0, person.role, person.time_zone)

"""The caller's password again, before an operation that outlasts a stolen login session."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.security.access_tokens import Claims
from app.core.security.passwords import PasswordHasher
from app.models.tables import LOGIN_SESSION
from app.models.users import User
from app.services.access.actor import Actor
from app.services.access.authentication import authenticate
from app.services.auth import login_throttle, refused_logins
from app.services.auth.errors import PasswordRequired, PasswordWrong
from app.services.auth.login_sessions import Client

RECENT_LOGIN = timedelta(minutes=5)
"""Time after a login in which its password counts as sent again, where that is enough."""


@dataclass(frozen=True, slots=True)
class PasswordHolder:
    """The caller's stored values for checking their password again."""

    user_id: int
    email: str
    password_hash: str


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """The result of comparing a password with the caller's stored hash, and the client that sent it."""

    holder: PasswordHolder
    client: Client
    matches: bool | None
    """None if the client sent no password."""


async def check_password(
    tx: CallerTransactionRunner[Claims], hasher: PasswordHasher, password: str | None, client: Client
) -> PasswordCheck:
    """Compare the password with the caller's hash, outside a transaction. `reauthenticate` judges the result.

    Raises LoginQueueFull, and the errors of `authenticate`.
    """
    holder = await tx.read(load_holder)
    if password is None:
        return PasswordCheck(holder, client, matches=None)
    matches = await hasher.verify(password, holder.password_hash, network=client.network)
    return PasswordCheck(holder, client, matches)


def load_holder(session: Session, claims: Claims) -> PasswordHolder:
    """Load the values for checking the caller's password again. Raises the errors of `authenticate`."""
    user = session.get_one(User, authenticate(session, claims).id)
    return PasswordHolder(user.id or 0, user.email, user.password_hash)


def reauthenticate(session: Session, claims: Claims, check: PasswordCheck, *, at: datetime) -> tuple[Actor, User]:
    """Return the caller and their locked row if the password is right. A wrong password counts as a failed login.

    Raises LoginLimitReached, PasswordWrong, and the errors of `authenticate`.
    """
    holder = check.holder
    with refused_logins.count_refusal(session, holder.user_id, at=at):
        actor = authenticate(session, claims)
        user = session.get_one(User, actor.id)
        limit = login_throttle.find_reached_limit(session, holder.email, holder.user_id, check.client.address, at=at)
        is_right = check.matches is True and user.password_hash == holder.password_hash
        if limit is not None and not (is_right and limit.accepts_right_password):
            login_throttle.record_beyond_limit(session, limit, at=at)
            raise limit.error
        if not is_right:
            login_throttle.record_failure(session, holder.email, check.client.address, at=at)
            raise PasswordWrong("This is not your current password.")
    return actor, user


def reauthenticate_unless_recent(
    session: Session, claims: Claims, check: PasswordCheck, *, at: datetime
) -> tuple[Actor, User]:
    """Return the caller and their locked row if the password is right, or was right within RECENT_LOGIN.

    A login session is created only with the right password, and a refresh does not change `created_at`. Raises
    PasswordRequired if no password was sent and the login is older, and the errors of `reauthenticate`.
    """
    if check.matches is not None:
        return reauthenticate(session, claims, check, at=at)
    actor = authenticate(session, claims)
    user = session.get_one(User, actor.id)
    created_at = session.execute(
        select(LOGIN_SESSION.c.created_at).where(LOGIN_SESSION.c.id == actor.session_id)
    ).scalar_one()
    if abs(at - created_at) > RECENT_LOGIN:  # abs(): the clock may be set back
        raise PasswordRequired(
            f"Your login is older than {RECENT_LOGIN.seconds // 60} minutes. Send your password as current_password."
        )
    return actor, user

"""Logging in, and what people may change about themselves."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.core.db import Session
from app.core.text import text_key
from app.models.user import User
from app.schemas.user import MeUpdate
from app.services import audit, people, users
from app.services.errors import LoginRefused, UserNotFound
from app.services.identity import USER, Actor


@dataclass(frozen=True, slots=True)
class Account:
    """What a login is checked against."""

    user_id: int
    password_hash: str
    epoch: int
    is_active: bool


def find_account(session: Session, email: str) -> Account | None:
    """The account with this e-mail in any case; None where there is none."""
    row = session.execute(
        select(USER.c.id, USER.c.password_hash, USER.c.token_epoch, USER.c.is_active).where(
            USER.c.email_key == text_key(email)
        )
    ).one_or_none()
    return None if row is None else Account(row.id, row.password_hash, row.token_epoch, row.is_active)


def log_in(session: Session, email: str, account: Account | None, *, password_matches: bool, at: datetime) -> Account:
    """Record the login and give the account, read again: it may have changed while the password was hashed.

    Raises LoginRefused, which says one thing for an unknown e-mail, a wrong password and a deactivated person; its
    event stays, with the person's id or a keyed digest of what was typed, never the text: people type passwords there.
    """
    fresh = find_account(session, email)
    subject_id = fresh.user_id if fresh is not None else None
    if account is not None and fresh == account and fresh.is_active and password_matches:
        audit.record(session, "login:accept", at=at, actor_id=subject_id, subject_id=subject_id)
        return fresh
    typed = None if subject_id is not None else {"typed_digest": _digest(session, email)}
    audit.record(session, "login:refuse", at=at, actor_id=None, subject_id=subject_id, after=typed)
    raise LoginRefused("E-mail or password is wrong, or the account is deactivated.")


def _digest(session: Session, typed: str) -> str:
    key = b"login:" + session.settings.signing_key.encode()
    return hmac.new(key, text_key(typed).encode(), hashlib.sha256).hexdigest()


def me(session: Session, actor: Actor) -> User:
    person = session.get(User, actor.id)
    if person is None:
        raise UserNotFound("There is no such person.")
    return person


def change_me(session: Session, actor: Actor, wanted: MeUpdate, *, at: datetime) -> User:
    """Change the actor's own names or time zone. A new zone counts for entries from now on, not for recorded ones."""
    (person,) = people.lock(session, actor.id)
    users.apply(session, actor, person, wanted.model_dump(exclude_unset=True), action="user:change_self", at=at)
    return person

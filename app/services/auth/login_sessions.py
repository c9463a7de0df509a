"""Sessions: opened by a login, kept by refreshing, ended by a logout or by what makes an account another's.

Every access token names its session, and each request looks whether it lives: an end counts at once, on every worker.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Row, bindparam, delete, insert, select, update

from app.core.database.session import Session
from app.core.security.opaque_tokens import RefreshRefused, RefreshToken, digest
from app.models.tables import LOGIN_SESSION, USER
from app.schemas.auth.session import SessionRead
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.auth.errors import SessionNotFound

REUSE_GRACE = timedelta(seconds=10)
"""A refresh token that is used again so soon was not stolen: its answer got lost, or two tabs sent it."""
PURGE_BATCH_SIZE = 20
MAX_PER_USER = 100
"""A script that logs in for every call ends its own oldest sessions, not the table's room."""
_EXCESS_SESSIONS = (
    select(LOGIN_SESSION.c.id)
    .where(LOGIN_SESSION.c.user_id == bindparam("user_id"))
    .order_by(LOGIN_SESSION.c.last_used_at.desc(), LOGIN_SESSION.c.id.desc())
    .offset(MAX_PER_USER)
)
_DELETE_EXCESS_SESSIONS = delete(LOGIN_SESSION).where(LOGIN_SESSION.c.id.in_(_EXCESS_SESSIONS))
_SESSION_QUERY = (
    select(LOGIN_SESSION, USER.c.is_active)
    .join_from(LOGIN_SESSION, USER, USER.c.id == LOGIN_SESSION.c.user_id)
    .where(LOGIN_SESSION.c.id == bindparam("session_id"), LOGIN_SESSION.c.user_id == bindparam("user_id"))
)
_EXPIRED = (
    select(LOGIN_SESSION.c.id)
    .where(LOGIN_SESSION.c.expires_at <= bindparam("until"))
    .order_by(LOGIN_SESSION.c.expires_at)
)
_PURGE_EXPIRED = delete(LOGIN_SESSION).where(
    LOGIN_SESSION.c.id.in_(_EXPIRED.limit(PURGE_BATCH_SIZE).with_for_update(skip_locked=True))
)


@dataclass(frozen=True, slots=True)
class Client:
    """From where somebody calls: the device as it calls itself, and its network address."""

    address: str
    device: str


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """A session that lives, and the refresh token that keeps it."""

    user_id: int
    session_id: int
    refresh_token: str


def issue(session: Session, user_id: int, client: Client, *, at: datetime) -> IssuedSession:
    """Open a session for a person who proved who they are. They are locked."""
    tokens = session.keyring.refresh_tokens
    secret = tokens.new_secret()
    row = {
        "user_id": user_id,
        "refresh_hash": digest(secret),
        "refreshed_at": at,
        "device": client.device,
        "address": client.address,
        "created_at": at,
        "last_used_at": at,
        "expires_at": _compute_expiry(session, at, at),
    }
    session_id = session.execute(insert(LOGIN_SESSION).values(row).returning(LOGIN_SESSION.c.id)).scalar_one()
    session.execute(_PURGE_EXPIRED, {"until": at})
    session.execute(_DELETE_EXCESS_SESSIONS, {"user_id": user_id})
    return IssuedSession(user_id, session_id, tokens.encode(RefreshToken(user_id, session_id, secret)))


def refresh(session: Session, token: RefreshToken, *, at: datetime) -> IssuedSession:
    """Give the next refresh token for this one; the same one again where the answer got lost.

    Raises RefreshRefused: for one of a session that ended; and for one that was spent longer ago, which ends the
    session: one of the two who have it is a thief (RFC 9700, 4.14.2).
    """
    tokens = session.keyring.refresh_tokens
    params = {"user_id": token.user_id, "session_id": token.session_id}
    row = session.execute(
        _SESSION_QUERY, params, execution_options=locks.user_lock_options(token.user_id)
    ).one_or_none()
    if row is None or row.expires_at <= at or not row.is_active:
        raise RefreshRefused("The refresh token is not valid, or no longer. Log in again.")
    _check_not_reused(session, row, token, at=at)
    successor = RefreshToken(token.user_id, token.session_id, tokens.rotate_secret(token))
    if row.refresh_hash == token.hash:
        new_values = {"refresh_hash": successor.hash, "spent_hash": token.hash, "refreshed_at": at, "last_used_at": at}
        new_values["expires_at"] = _compute_expiry(session, row.created_at, at)
        session.execute(update(LOGIN_SESSION).where(LOGIN_SESSION.c.id == row.id).values(new_values))
    return IssuedSession(token.user_id, token.session_id, tokens.encode(successor))


def list_own(session: Session, actor: Actor, *, at: datetime) -> list[SessionRead]:
    """The actor's sessions that live, the last used first."""
    query = select(LOGIN_SESSION).where(LOGIN_SESSION.c.user_id == actor.id, LOGIN_SESSION.c.expires_at > at)
    rows = session.execute(query.order_by(LOGIN_SESSION.c.last_used_at.desc(), LOGIN_SESSION.c.id.desc())).all()
    return [SessionRead.model_validate(row).model_copy(update={"current": row.id == actor.session_id}) for row in rows]


def log_out(session: Session, actor: Actor, *, at: datetime) -> None:
    """End the session that asks. Raises SessionNotFound for one that ended meanwhile."""
    end(session, actor, actor.session_id or 0, at=at)


def end(session: Session, actor: Actor, session_id: int, *, at: datetime) -> None:
    """End one of the actor's sessions. Raises SessionNotFound."""
    locks.lock_users(session, actor.id)
    if not _delete(session, LOGIN_SESSION.c.user_id == actor.id, LOGIN_SESSION.c.id == session_id):
        raise SessionNotFound("You have no such session.")
    action = "session:log_out" if session_id == actor.session_id else "session:end"
    recorder.record(session, action, at=at, actor_id=actor.id, subject_id=actor.id, object_id=session_id)


def end_others(session: Session, actor: Actor, *, at: datetime) -> None:
    """End all of the actor's sessions but the one that asks."""
    locks.lock_users(session, actor.id)
    if count := _delete(session, LOGIN_SESSION.c.user_id == actor.id, LOGIN_SESSION.c.id != actor.session_id):
        fields = {"sessions": count}
        recorder.record(session, "session:end_others", at=at, actor_id=actor.id, subject_id=actor.id, before=fields)


def end_all(session: Session, actor: Actor, user_id: int, *, at: datetime) -> None:
    """End all sessions of a person, as an admin. Raises UserNotFound."""
    locks.lock_users(session, user_id)
    if count := delete_all(session, user_id):
        fields = {"sessions": count}
        recorder.record(session, "session:end_all", at=at, actor_id=actor.id, subject_id=user_id, before=fields)


def delete_all(session: Session, user_id: int) -> int:
    """End all sessions of a locked person, as part of what the caller records; how many there were."""
    return _delete(session, LOGIN_SESSION.c.user_id == user_id)


def _check_not_reused(session: Session, row: Row[Any], token: RefreshToken, *, at: datetime) -> None:
    if row.refresh_hash == token.hash:
        return
    if row.spent_hash == token.hash and abs(at - row.refreshed_at) <= REUSE_GRACE:  # a clock may have gone back
        return
    _delete(session, LOGIN_SESSION.c.id == row.id)
    recorder.record(session, "session:end_on_reuse", at=at, actor_id=None, subject_id=row.user_id, object_id=row.id)
    raise RefreshRefused("This refresh token was used before, so its session is ended. Log in again.")


def _compute_expiry(session: Session, created_at: datetime, at: datetime) -> datetime:
    """A session ends when it wasn't refreshed for so long, and in any case so long after the login."""
    settings = session.settings
    idle_expiry = at + timedelta(days=settings.REFRESH_TOKEN_EXPIRE_DAYS)
    return min(idle_expiry, created_at + timedelta(days=settings.SESSION_MAX_DAYS))


def _delete(session: Session, *conditions: Any) -> int:
    result = session.execute(delete(LOGIN_SESSION).where(*conditions))
    assert isinstance(result, CursorResult)
    return result.rowcount

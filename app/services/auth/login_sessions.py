"""Login sessions. A login opens one, a refresh extends it, and a logout or a password change ends it.

Every access token names its login session, and each request checks that session in the database. So an ended session
is rejected at once, in every worker process.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Row, bindparam, delete, insert, select, update

from app.core.database.dialect import delete_batch
from app.core.database.session import Session
from app.core.security.opaque_tokens import RefreshRefused, RefreshToken, digest
from app.core.server.ip_addresses import rate_limit_key
from app.models.tables import LOGIN_SESSION, USER
from app.schemas.auth.session import SessionRead
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.access.api_token_limits import lock_for_change, require_login_session
from app.services.audit import recorder
from app.services.auth.errors import SessionNotFound

REUSE_GRACE = timedelta(seconds=10)
"""Time in which a spent refresh token is accepted again. The response may be lost, or two tabs may refresh at once."""
PURGE_BATCH_SIZE = 20
MAX_PER_USER = 100
"""Limit on login sessions per user. A new login ends the oldest sessions beyond it, so the table stays small."""
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
_PURGE_EXPIRED = delete_batch(_EXPIRED, PURGE_BATCH_SIZE)


@dataclass(frozen=True, slots=True)
class Client:
    """The network address of a client, and the device name that it sent."""

    address: str
    device: str

    @property
    def network(self) -> str:
        """The key of the address for limits: the /64 network of an IPv6 address."""
        return rate_limit_key(self.address)


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """An active login session, and the refresh token that extends it."""

    user_id: int
    session_id: int
    refresh_token: str


def issue(session: Session, user_id: int, client: Client, *, at: datetime) -> IssuedSession:
    """Open a login session for an authenticated, locked user."""
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


def event_fields(session: Session, issued: IssuedSession) -> dict[str, Any]:
    """Return what the event that opened a login session holds: its id, and the limits of its expiry in days."""
    settings = session.settings
    limits = {"idle_days": settings.REFRESH_TOKEN_EXPIRE_DAYS, "max_days": settings.SESSION_MAX_DAYS}
    return {"session_id": issued.session_id} | limits


def refresh(session: Session, token: RefreshToken, *, at: datetime) -> IssuedSession:
    """Return the next refresh token. Within REUSE_GRACE, a spent token returns the same successor again.

    Raises RefreshRefused if the session has ended. A token that was spent earlier also ends the session, because it may
    be stolen (RFC 9700, section 4.14.2).
    """
    tokens = session.keyring.refresh_tokens
    params = {"user_id": token.user_id, "session_id": token.session_id}
    row = session.execute(
        _SESSION_QUERY, params, execution_options=locks.user_lock_options(token.user_id)
    ).one_or_none()
    if row is None or row.expires_at <= at or not row.is_active:
        raise RefreshRefused("The refresh token is invalid or expired. Log in again.")
    _check_not_reused(session, row, token, at=at)
    successor = RefreshToken(token.user_id, token.session_id, tokens.rotate_secret(token))
    if row.refresh_hash == token.hash:
        new_values = {"refresh_hash": successor.hash, "spent_hash": token.hash, "refreshed_at": at, "last_used_at": at}
        new_values["expires_at"] = _compute_expiry(session, row.created_at, at)
        session.execute(update(LOGIN_SESSION).where(LOGIN_SESSION.c.id == row.id).values(new_values))
    return IssuedSession(token.user_id, token.session_id, tokens.encode(successor))


def list_own(session: Session, actor: Actor, *, at: datetime) -> list[SessionRead]:
    """Return the actor's active login sessions, the last used first."""
    query = select(LOGIN_SESSION).where(LOGIN_SESSION.c.user_id == actor.id, LOGIN_SESSION.c.expires_at > at)
    rows = session.execute(query.order_by(LOGIN_SESSION.c.last_used_at.desc(), LOGIN_SESSION.c.id.desc())).all()
    return [SessionRead.model_validate(row).model_copy(update={"current": row.id == actor.session_id}) for row in rows]


def log_out(session: Session, actor: Actor, *, at: datetime) -> None:
    """End the actor's current login session."""
    end(session, actor, actor.session_id or 0, at=at)


def end(session: Session, actor: Actor, session_id: int, *, at: datetime) -> None:
    """End one login session of the actor. Raises SessionNotFound."""
    if not _delete(session, LOGIN_SESSION.c.user_id == actor.id, LOGIN_SESSION.c.id == session_id):
        raise SessionNotFound("You have no login session with this id. It may have ended.")
    action = "session:log_out" if session_id == actor.session_id else "session:end"
    recorder.record(session, action, at=at, actor_id=actor.id, subject_id=actor.id, object_id=session_id)


def end_others(session: Session, actor: Actor, *, at: datetime) -> None:
    """End all login sessions of the actor except the current one."""
    if count := _delete(session, LOGIN_SESSION.c.user_id == actor.id, LOGIN_SESSION.c.id != actor.session_id):
        recorder.record(
            session,
            "session:end_others",
            at=at,
            actor_id=actor.id,
            subject_id=actor.id,
            before={"sessions": count},
            after={"session_id": actor.session_id},
        )


def end_all(session: Session, actor: Actor, user_id: int, *, at: datetime) -> None:
    """End all login sessions of a user, as an admin.

    Raises UserNotFound, and the errors of `lock_for_change` and `check_may_end_all`.
    """
    lock_for_change(session, actor, user_id)
    check_may_end_all(actor)
    if count := delete_all(session, user_id):
        fields = {"sessions": count}
        recorder.record(session, "session:end_all", at=at, actor_id=actor.id, subject_id=user_id, before=fields)


def check_may_end_all(actor: Actor | None) -> None:
    """Raise ScopeRequired for an API token."""
    require_login_session(actor, "end login sessions")


def delete_all(session: Session, user_id: int) -> int:
    """End all login sessions of a locked user, and return their number. The caller records the event."""
    return _delete(session, LOGIN_SESSION.c.user_id == user_id)


def _check_not_reused(session: Session, row: Row[Any], token: RefreshToken, *, at: datetime) -> None:
    if row.refresh_hash == token.hash:
        return
    if row.spent_hash == token.hash and abs(at - row.refreshed_at) <= REUSE_GRACE:  # abs(): the clock may be set back
        return
    _delete(session, LOGIN_SESSION.c.id == row.id)
    recorder.record(session, "session:end_on_reuse", at=at, actor_id=None, subject_id=row.user_id, object_id=row.id)
    raise RefreshRefused("This refresh token was already used, so its login session was ended. Log in again.")


def _compute_expiry(session: Session, created_at: datetime, at: datetime) -> datetime:
    """Return the earlier limit: REFRESH_TOKEN_EXPIRE_DAYS after the refresh, or SESSION_MAX_DAYS after the login."""
    settings = session.settings
    idle_expiry = at + timedelta(days=settings.REFRESH_TOKEN_EXPIRE_DAYS)
    return min(idle_expiry, created_at + timedelta(days=settings.SESSION_MAX_DAYS))


def _delete(session: Session, *conditions: Any) -> int:
    result = session.execute(delete(LOGIN_SESSION).where(*conditions))
    assert isinstance(result, CursorResult)
    return result.rowcount

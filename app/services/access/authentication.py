"""Authentication: find the user of an access token or API token, and read the user's current state."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, Table, and_, bindparam, null, select, update

from app.core.database.execution_options import PREPARE
from app.core.database.session import Session
from app.core.security.access_tokens import Claims, InvalidToken, PendingAction
from app.core.time.clock import MAX_CLOCK_LAG
from app.models.tables import API_TOKEN, LOGIN_SESSION, USER
from app.models.users import Role
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.access.errors import PasswordChangeRequired, RoleRequired, ScopeRequired, SecondFactorRequired

LAST_USED_UPDATE_INTERVAL = timedelta(minutes=5)
ACTOR_COLUMNS = (
    USER.c.id.label("actor_id"),
    USER.c.role.label("actor_role"),
    USER.c.is_active.label("actor_is_active"),
    USER.c.must_change_password.label("actor_must_change_password"),
    USER.c.has_second_factor.label("actor_has_second_factor"),
    USER.c.time_zone.label("actor_time_zone"),
)
_CREDENTIAL_CONDITIONS = {
    LOGIN_SESSION: LOGIN_SESSION.c.id == bindparam("session_id"),
    API_TOKEN: API_TOKEN.c.token_hash == bindparam("api_token_hash"),
}
_ACTOR_QUERY = select(*ACTOR_COLUMNS).where(USER.c.id == bindparam("user_id"))


def authenticate(session: Session, claims: Claims, *, beside: Iterable[int] = ()) -> Actor:
    """Return the active user of the credential. Raises what `actor_from_row` raises.

    In a write transaction, this first locks the user and the users `beside`, in the same round trip. So the user still
    has the credential and the role at the commit. A service that locks other users passes them here, and gets the
    claims instead of an actor. Otherwise it would lock the caller first, and two such services could deadlock.
    """
    return _read_actor(session, claims, locks.user_lock_options(claims.user_id, *beside) if session.writes else {})


def authenticate_unlocked(session: Session, claims: Claims) -> Actor:
    """Return the active user of the credential, who may lose their rights before the commit.

    A service calls this to find out which users to lock, and then calls `authenticate`.
    """
    return _read_actor(session, claims, {})


def _read_actor(session: Session, claims: Claims, options: Mapping[str, Any]) -> Actor:
    statement = require_credential(_ACTOR_QUERY, claims)
    row = session.core.execute(statement, credential_params(claims), execution_options=options).one_or_none()
    return actor_from_row(session, row, claims)


@cache
def _require_credential(statement: Select[Any], credential: Table) -> Select[Any]:
    is_session = credential is LOGIN_SESSION
    prepared = statement.execution_options(**{PREPARE: True})
    return prepared.join(
        credential, and_(credential.c.user_id == USER.c.id, _CREDENTIAL_CONDITIONS[credential])
    ).add_columns(
        (null() if is_session else API_TOKEN.c.scopes).label("credential_scopes"),
        credential.c.created_at.label("credential_created_at"),
        credential.c.expires_at.label("credential_expires_at"),
        credential.c.last_used_at.label("credential_used_at"),
    )


def require_credential(statement: Select[Any], claims: Claims) -> Select[Any]:
    """Join a statement over users, which selects ACTOR_COLUMNS, to the credential of the claims.

    The statement returns no row if the login session or API token no longer exists.
    """
    return _require_credential(statement, _credential_of(claims))


def credential_params(claims: Claims) -> dict[str, Any]:
    """Return the parameters of a `require_credential` statement."""
    return {"user_id": claims.user_id, "session_id": claims.session_id, "api_token_hash": claims.api_token_hash}


def actor_from_row(session: Session, row: Row[Any] | None, claims: Claims) -> Actor:
    """Return the actor from a row of a `require_credential` statement, which may have more columns.

    Raises InvalidToken if the user or the credential does not exist, the user is deactivated, or the credential
    has expired. Raises ScopeRequired, PasswordChangeRequired, SecondFactorRequired.
    """
    if (
        row is None
        or not row.actor_is_active
        or row.credential_expires_at <= claims.at
        or _predates_session(row, claims)
    ):
        raise InvalidToken("The access token is invalid or has expired. Log in again.")
    _check_scope(row, claims)
    _check_pending_actions(session, row, claims)
    if row.credential_used_at is None or row.credential_used_at <= claims.at - LAST_USED_UPDATE_INTERVAL:
        session.info["stale_credential"] = claims
    return Actor(
        id=row.actor_id, role=Role(row.actor_role), time_zone=row.actor_time_zone, session_id=claims.session_id
    )


def check_caller(session: Session, caller: Actor | None) -> None:
    """Do nothing, because every transaction authenticates the caller before it runs its service function.

    For a request that needs authentication before expensive work outside the transaction.
    """


def require_role(actor: Actor, *roles: Role) -> None:
    """Raise RoleRequired unless the actor has one of the roles."""
    if actor.role not in roles:
        raise RoleRequired(f"You need one of these roles: {', '.join(roles)}. Ask an admin.")


def stale_credential(session: Session) -> Claims | None:
    """Return the credential of this request if its stored last use is older than LAST_USED_UPDATE_INTERVAL."""
    claims: Claims | None = session.info.get("stale_credential")
    return claims


def touch_last_used(session: Session, claims: Claims) -> None:
    """Store the time of the last use of a login session or API token.

    Callers do this only for a `stale_credential`, because a write at every request would be too slow.
    """
    credential = _credential_of(claims)
    condition = API_TOKEN.c.token_hash == claims.api_token_hash
    if credential is LOGIN_SESSION:
        condition = LOGIN_SESSION.c.id == claims.session_id
    session.execute(update(credential).where(condition).values(last_used_at=claims.at))


def _credential_of(claims: Claims) -> Table:
    return LOGIN_SESSION if claims.session_id is not None else API_TOKEN


def _predates_session(row: Row[Any], claims: Claims) -> bool:
    """Return True if the token is older than the login session that it names.

    After a restore, the database assigns the same session ids again. An old token could then match another user's
    login session.
    """
    created_at: datetime = row.credential_created_at
    return claims.issued_at < (created_at - MAX_CLOCK_LAG).timestamp()


def _check_scope(row: Row[Any], claims: Claims) -> None:
    if claims.session_id is not None:
        return
    if claims.access.scopes.isdisjoint(row.credential_scopes.split()):
        scope_names = " or ".join(sorted(claims.access.scopes))
        raise ScopeRequired(
            f"Your API token needs the scope {scope_names}. Create an API token with this scope."
            if scope_names
            else "An API token cannot be used here. Log in and send an access token."
        )


def _check_pending_actions(session: Session, row: Row[Any], claims: Claims) -> None:
    """Raise an error if the user must first change the password or enrol a second factor."""
    pending = claims.access.pending
    if row.actor_must_change_password and PendingAction.password not in pending:
        raise PasswordChangeRequired("Change your password first: POST /api/v1/auth/password.")
    lacks_factor = not row.actor_has_second_factor and row.actor_role in session.settings.REQUIRE_TOTP_ROLES
    if lacks_factor and PendingAction.second_factor not in pending:
        raise SecondFactorRequired("Your role requires a second factor. Enrol one first: POST /api/v1/auth/totp.")


def authenticate_manager(session: Session, claims: Claims) -> Actor:
    """Return the user of the credential, a manager or admin. Raises RoleRequired and what `authenticate` raises."""
    actor = authenticate(session, claims)
    require_role(actor, Role.manager, Role.admin)
    return actor


def authenticate_admin(session: Session, claims: Claims) -> Actor:
    """Return the user of the credential, an admin. Raises RoleRequired and what `authenticate` raises.

    A writing transaction takes the `lock_user_rules` lock first. Changes of roles and active flags take the same lock,
    so the caller is still an admin when the transaction commits.
    """
    if session.writes:
        locks.lock_user_rules(session)
    actor = authenticate(session, claims)
    require_role(actor, Role.admin)
    return actor

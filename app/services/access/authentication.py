"""Who is asking: the person behind a token, as the database knows them at this very request."""

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


def authenticate(session: Session, claims: Claims) -> Actor:
    """The active person whose token this is. Raises what `actor_from_row` raises."""
    row = session.execute(require_credential(_ACTOR_QUERY, claims), credential_params(claims)).one_or_none()
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
    """A statement over people with ACTOR_COLUMNS that finds nobody unless the credential of the claims still lives."""
    return _require_credential(statement, _credential_of(claims))


def credential_params(claims: Claims) -> dict[str, Any]:
    """The values of a `require_credential` statement."""
    return {"user_id": claims.user_id, "session_id": claims.session_id, "api_token_hash": claims.api_token_hash}


def actor_from_row(session: Session, row: Row[Any] | None, claims: Claims) -> Actor:
    """The actor in a row of a `require_credential` statement, for those that read more in the same round trip.

    Raises InvalidToken for who is gone or deactivated, and for a session or API token that ended; ScopeRequired,
    PasswordChangeRequired, SecondFactorRequired.
    """
    if (
        row is None
        or not row.actor_is_active
        or row.credential_expires_at <= claims.at
        or _predates_session(row, claims)
    ):
        raise InvalidToken("The access token is not valid, or no longer. Log in again.")
    _check_scope(row, claims)
    _check_pending_actions(session, row, claims)
    if row.credential_used_at is None or row.credential_used_at <= claims.at - LAST_USED_UPDATE_INTERVAL:
        session.info["stale_credential"] = claims
    return Actor(
        id=row.actor_id, role=Role(row.actor_role), time_zone=row.actor_time_zone, session_id=claims.session_id
    )


def check_caller(session: Session, caller: Actor | None) -> None:
    """Find out who is calling, and no more: as every transaction does before its service. For work that only somebody
    who may ask for it is worth."""


def require_role(actor: Actor, *roles: Role) -> None:
    """Raises RoleRequired unless the actor has one of the roles."""
    if actor.role not in roles:
        raise RoleRequired(f"This needs one of these roles: {', '.join(roles)}.")


def stale_credential(session: Session) -> Claims | None:
    """The credential of this request, if its last use was written down more than LAST_USED_UPDATE_INTERVAL ago."""
    claims: Claims | None = session.info.get("stale_credential")
    return claims


def touch_last_used(session: Session, claims: Claims) -> None:
    """Write down when a session or an API token was last used: every few minutes, not at every request."""
    credential = _credential_of(claims)
    condition = API_TOKEN.c.token_hash == claims.api_token_hash
    if credential is LOGIN_SESSION:
        condition = LOGIN_SESSION.c.id == claims.session_id
    session.execute(update(credential).where(condition).values(last_used_at=claims.at))


def _credential_of(claims: Claims) -> Table:
    return LOGIN_SESSION if claims.session_id is not None else API_TOKEN


def _predates_session(row: Row[Any], claims: Claims) -> bool:
    """Whether the token was signed before its session was: a backup that was brought back had counted no further, and
    gave the same numbers to others since."""
    created_at: datetime = row.credential_created_at
    return claims.issued_at < (created_at - MAX_CLOCK_LAG).timestamp()


def _check_scope(row: Row[Any], claims: Claims) -> None:
    if claims.session_id is not None:
        return
    if claims.access.scopes.isdisjoint(row.credential_scopes.split()):
        scope_names = " or ".join(sorted(claims.access.scopes))
        raise ScopeRequired(
            f"This needs an API token with the scope {scope_names}."
            if scope_names
            else "No API token can do this. Log in."
        )


def _check_pending_actions(session: Session, row: Row[Any], claims: Claims) -> None:
    """Who has to change their password or to enrol a second factor does that before anything else."""
    pending = claims.access.pending
    if row.actor_must_change_password and PendingAction.password not in pending:
        raise PasswordChangeRequired("Change your password first: POST /api/v1/auth/password.")
    lacks_factor = not row.actor_has_second_factor and row.actor_role in session.settings.REQUIRE_TOTP_ROLES
    if lacks_factor and PendingAction.second_factor not in pending:
        raise SecondFactorRequired("Your role needs a second factor. Enrol one first: POST /api/v1/auth/totp.")


def authenticate_manager(session: Session, claims: Claims) -> Actor:
    """The manager or admin behind a token. Raises what `authenticate` raises, and RoleRequired."""
    actor = authenticate(session, claims)
    require_role(actor, Role.manager, Role.admin)
    return actor


def authenticate_admin(session: Session, claims: Claims) -> Actor:
    """The admin behind a token. Raises what `authenticate` raises, and RoleRequired.

    What writes takes the lock of the rules first: who is an admin here still is one when it commits, since all that
    makes or unmakes one takes it too.
    """
    if session.writes:
        locks.lock_user_rules(session)
    actor = authenticate(session, claims)
    require_role(actor, Role.admin)
    return actor

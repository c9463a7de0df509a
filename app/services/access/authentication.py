"""Who is asking: the person behind a token, as the database knows them at this very request."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, Table, and_, bindparam, null, select, update

from app.core.database.execution_options import PLANNED_ONCE
from app.core.database.session import Session
from app.core.security.access_tokens import BadToken, Claims, Waiting
from app.core.time.clock import MAX_CLOCK_LAG
from app.models.tables import API_TOKEN, SESSION, USER
from app.models.users import Role
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.access.errors import PasswordChangeRequired, RoleNeeded, ScopeNeeded, SecondFactorRequired

USE_NOTED_AFTER = timedelta(minutes=5)
ACTOR_COLUMNS = (
    USER.c.id.label("actor_id"),
    USER.c.role.label("actor_role"),
    USER.c.is_active.label("actor_is_active"),
    USER.c.must_change_password.label("actor_must_change_password"),
    USER.c.has_second_factor.label("actor_has_second_factor"),
    USER.c.time_zone.label("actor_time_zone"),
)
_SHOWN = {
    SESSION: SESSION.c.id == bindparam("session_id"),
    API_TOKEN: API_TOKEN.c.token_hash == bindparam("api_token_hash"),
}
_ACTOR = select(*ACTOR_COLUMNS).where(USER.c.id == bindparam("user_id"))


def authenticate(session: Session, claims: Claims) -> Actor:
    """The active person whose token this is. Raises what `actor_from` raises."""
    row = session.execute(proven(_ACTOR, claims), shown(claims)).one_or_none()
    return actor_from(session, row, claims)


@cache
def _proven(statement: Select[Any], credential: Table) -> Select[Any]:
    is_session = credential is SESSION
    planned = statement.execution_options(**{PLANNED_ONCE: True})
    return planned.join(credential, and_(credential.c.user_id == USER.c.id, _SHOWN[credential])).add_columns(
        (null() if is_session else API_TOKEN.c.scopes).label("credential_scopes"),
        credential.c.created_at.label("credential_created_at"),
        credential.c.expires_at.label("credential_expires_at"),
        credential.c.last_used_at.label("credential_used_at"),
    )


def proven(statement: Select[Any], claims: Claims) -> Select[Any]:
    """A statement over people with ACTOR_COLUMNS that finds nobody unless the credential of the claims still lives."""
    return _proven(statement, _credential_of(claims))


def shown(claims: Claims) -> dict[str, Any]:
    """The values of a `proven` statement."""
    return {"user_id": claims.user_id, "session_id": claims.session_id, "api_token_hash": claims.api_token_hash}


def actor_from(session: Session, row: Row[Any] | None, claims: Claims) -> Actor:
    """The actor in a row of a `proven` statement, for those that read more in the same round trip.

    Raises BadToken for who is gone or deactivated, and for a session or API token that ended; ScopeNeeded,
    PasswordChangeRequired, SecondFactorRequired.
    """
    if row is None or not row.actor_is_active or row.credential_expires_at <= claims.at or _is_of_another(row, claims):
        raise BadToken("The access token is not valid, or no longer. Log in again.")
    _check_scope(row, claims)
    _check_waits_for_nothing(session, row, claims)
    if row.credential_used_at is None or row.credential_used_at <= claims.at - USE_NOTED_AFTER:
        session.info["stale_credential"] = claims
    return Actor(
        id=row.actor_id, role=Role(row.actor_role), time_zone=row.actor_time_zone, session_id=claims.session_id
    )


def check_caller(session: Session, caller: Actor | None) -> None:
    """Find out who is calling, and no more: as every transaction does before its service. For work that only somebody
    who may ask for it is worth."""


def require_role(actor: Actor, *roles: Role) -> None:
    """Raises RoleNeeded unless the actor has one of the roles."""
    if actor.role not in roles:
        raise RoleNeeded(f"This needs one of these roles: {', '.join(roles)}.")


def stale_credential(session: Session) -> Claims | None:
    """The credential of this request, if its last use was written down more than USE_NOTED_AFTER ago."""
    claims: Claims | None = session.info.get("stale_credential")
    return claims


def note_use(session: Session, claims: Claims) -> None:
    """Write down when a session or an API token was last used: every few minutes, not at every request."""
    credential = _credential_of(claims)
    used = API_TOKEN.c.token_hash == claims.api_token_hash
    if credential is SESSION:
        used = SESSION.c.id == claims.session_id
    session.execute(update(credential).where(used).values(last_used_at=claims.at))


def _credential_of(claims: Claims) -> Table:
    return SESSION if claims.session_id is not None else API_TOKEN


def _is_of_another(row: Row[Any], claims: Claims) -> bool:
    """Whether the token was signed before its session was: a backup that was brought back had counted no further, and
    gave the same numbers to others since."""
    began_at: datetime = row.credential_created_at
    return claims.issued_at < (began_at - MAX_CLOCK_LAG).timestamp()


def _check_scope(row: Row[Any], claims: Claims) -> None:
    if claims.session_id is not None:
        return
    if claims.access.scopes.isdisjoint(row.credential_scopes.split()):
        wanted = " or ".join(sorted(claims.access.scopes))
        raise ScopeNeeded(
            f"This needs an API token with the scope {wanted}." if wanted else "No API token can do this. Log in."
        )


def _check_waits_for_nothing(session: Session, row: Row[Any], claims: Claims) -> None:
    """Who has to change their password or to enrol a second factor does that before anything else."""
    waiting = claims.access.waiting
    if row.actor_must_change_password and Waiting.password not in waiting:
        raise PasswordChangeRequired("Change your password first: POST /api/v1/auth/password.")
    lacks_factor = not row.actor_has_second_factor and row.actor_role in session.settings.REQUIRE_TOTP_ROLES
    if lacks_factor and Waiting.second_factor not in waiting:
        raise SecondFactorRequired("Your role needs a second factor. Enrol one first: POST /api/v1/auth/totp.")


def manager(session: Session, claims: Claims) -> Actor:
    """The manager or admin behind a token. Raises what `authenticate` raises, and RoleNeeded."""
    actor = authenticate(session, claims)
    require_role(actor, Role.manager, Role.admin)
    return actor


def admin(session: Session, claims: Claims) -> Actor:
    """The admin behind a token. Raises what `authenticate` raises, and RoleNeeded.

    What writes takes the lock of the rules first: who is an admin here still is one when it commits, since all that
    makes or unmakes one takes it too.
    """
    if session.writes:
        locks.lock_rules(session)
    actor = authenticate(session, claims)
    require_role(actor, Role.admin)
    return actor

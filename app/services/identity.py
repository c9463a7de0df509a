"""Who is asking: the person behind a token, as the database knows them at this very request."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, select

from app.core.db import Session
from app.core.tokens import BadToken, Claims
from app.models.types import table_of
from app.models.user import Role, User
from app.services.errors import RoleNeeded

USER = table_of(User)
ACTOR_COLUMNS = (
    USER.c.id.label("actor_id"),
    USER.c.role.label("actor_role"),
    USER.c.is_active.label("actor_is_active"),
    USER.c.token_epoch.label("actor_epoch"),
    USER.c.time_zone.label("actor_time_zone"),
)
_ACTOR = select(*ACTOR_COLUMNS).where(USER.c.id == bindparam("user_id"))


@dataclass(frozen=True, slots=True)
class Actor:
    """The person who acts, with what the rules ask of them."""

    id: int
    role: Role
    time_zone: str


def authenticate(session: Session, claims: Claims) -> Actor:
    """The active person whose token this is. Raises BadToken if they are gone, deactivated or changed credentials."""
    return actor_from(session.execute(_ACTOR, {"user_id": claims.user_id}).one_or_none(), claims)


def actor_from(row: Row[Any] | None, claims: Claims) -> Actor:
    """The actor in a row that has ACTOR_COLUMNS, for statements that read more in the same round trip."""
    if row is None or not row.actor_is_active or row.actor_epoch != claims.epoch:
        raise BadToken("The access token is not valid, or no longer. Log in again.")
    return Actor(id=row.actor_id, role=Role(row.actor_role), time_zone=row.actor_time_zone)


def require_role(actor: Actor, *roles: Role) -> None:
    """Raises RoleNeeded unless the actor has one of the roles."""
    if actor.role not in roles:
        raise RoleNeeded(f"This needs one of these roles: {', '.join(roles)}.")

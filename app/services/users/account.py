"""One's own account: what people read and change about themselves."""

from datetime import datetime

from app.core.database.session import Session
from app.models.users import User
from app.schemas.users.user import MeUpdate
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.users import administration


def me(session: Session, actor: Actor) -> User:
    return administration.get(session, actor, actor.id)


def change_me(session: Session, actor: Actor, wanted: MeUpdate, *, at: datetime) -> User:
    """Change the actor's own names or time zone. A new zone counts for entries from now on, not for recorded ones."""
    (person,) = locks.lock(session, actor.id)
    administration.apply(
        session, actor, person, wanted.model_dump(exclude_unset=True), action="user:change_self", at=at
    )
    return person

"""One's own account: what people read and change about themselves."""

from datetime import datetime

from app.core.database.session import Session
from app.models.users import User
from app.schemas.users.user import AccountUpdate
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.users import administration


def get_me(session: Session, actor: Actor) -> User:
    return administration.get(session, actor, actor.id)


def change_me(session: Session, actor: Actor, data: AccountUpdate, *, at: datetime) -> User:
    """Change the actor's own names or time zone. A new zone counts for entries from now on, not for recorded ones."""
    (user,) = locks.lock_users(session, actor.id)
    administration.apply_changes(
        session, actor, user, data.model_dump(exclude_unset=True), action="user:change_self", at=at
    )
    return user

"""The actor's own account: the fields that users read and change themselves."""

from datetime import datetime

from app.core.database.session import Session
from app.models.users import User
from app.schemas.users.user import AccountUpdate
from app.services.access.actor import Actor
from app.services.users import administration, queries


def get_me(session: Session, actor: Actor) -> User:
    return queries.get(session, actor, actor.id)


def change_me(session: Session, actor: Actor, data: AccountUpdate, *, at: datetime) -> User:
    """Change the actor's names or time zone. A new time zone applies to new entries, not to existing ones.

    Raises TimesheetLocked if today would be in a locked timesheet in the new time zone.
    """
    user = session.get_one(User, actor.id)
    administration.apply_changes(
        session, actor, user, data.model_dump(exclude_unset=True), action="user:change_self", at=at
    )
    return user

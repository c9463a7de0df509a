"""Locks on people. Every write locks the person concerned first, then looks, then writes."""

from sqlalchemy import select

from app.core.database.execution_options import SEND_FIRST
from app.core.database.session import Session
from app.core.security.access_tokens import InvalidToken
from app.models.tables import NAMED_LOCK
from app.models.users import User
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound


def lock_users(session: Session, *user_ids: int) -> list[User]:
    """Lock the people's rows, ids ascending so that two writers can't wait for each other, and read them fresh.

    Raises UserNotFound if one of them doesn't exist. (On SQLite a writing transaction holds the whole file already.)
    """
    ids = sorted(set(user_ids))
    users = session.scalars(
        select(User)
        .where(User.id.in_(ids))  # type: ignore[union-attr]
        .order_by(User.id)  # type: ignore[arg-type]
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()
    if len(users) != len(ids):
        raise UserNotFound("There is no such person.")
    return list(users)


def lock_self(session: Session, actor: Actor) -> User:
    """Lock the actor's own row and read it fresh. Raises InvalidToken for who was deactivated while this waited."""
    (user,) = lock_users(session, actor.id)
    if not user.is_active:
        raise InvalidToken("The access token is not valid, or no longer. Log in again.")
    return user


def user_lock_options(user_id: int) -> dict[str, str]:
    """The execution options of a statement that locks the user's row first, in the same round trip.

    The lock is a statement of its own, so the one behind it takes its snapshot after the lock was granted and sees what
    the last holder committed; FOR UPDATE in the reading statement would join the fresh user with stale entries. (On
    SQLite a writing transaction holds the whole file already.)
    """
    return {SEND_FIRST: f'SELECT id FROM "user" WHERE id = {int(user_id)} FOR NO KEY UPDATE; '}  # noqa: S608 - an int


def lock_user_rules(session: Session) -> None:
    """Take the one lock for changes of role, active flag and manager: their rules span several people."""
    session.execute(select(NAMED_LOCK.c.name).where(NAMED_LOCK.c.name == "people").with_for_update())

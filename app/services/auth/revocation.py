"""All that lets a person in: what ends together when their account does."""

from datetime import datetime

from sqlalchemy import delete

from app.core.database.session import Session
from app.models.tables import KNOWN_ADDRESS
from app.services.auth import api_tokens, login_sessions, passwords, second_factor


def revoke_all(session: Session, actor_id: int | None, user_id: int, *, at: datetime) -> None:
    """End a locked person's sessions, API tokens and set-password link; they stay dead if the person comes back."""
    login_sessions.delete_all(session, user_id)
    api_tokens.revoke_all(session, actor_id, user_id, at=at)
    passwords.delete_link(session, user_id)


def erase(session: Session, user_id: int, *, at: datetime) -> None:
    """Delete also the second factor and the addresses that a locked person logged in from."""
    revoke_all(session, None, user_id, at=at)
    second_factor.delete_all(session, user_id)
    session.execute(delete(KNOWN_ADDRESS).where(KNOWN_ADDRESS.c.user_id == user_id))

"""Revocation of everything that gives access to an account: login sessions, API tokens, password links."""

from datetime import datetime

from sqlalchemy import delete

from app.core.database.session import Session
from app.models.tables import KNOWN_ADDRESS
from app.services.auth import api_tokens, login_sessions, passwords, refused_logins, second_factor


def revoke_all(session: Session, actor_id: int | None, user_id: int, *, at: datetime) -> None:
    """End a locked user's login sessions, API tokens and password link. Activating the user does not restore them."""
    login_sessions.delete_all(session, user_id)
    api_tokens.revoke_all(session, actor_id, user_id, at=at)
    passwords.delete_link(session, user_id)


def erase(session: Session, user_id: int, *, at: datetime) -> None:
    """Revoke everything as `revoke_all` does, and delete the user's second factor, known addresses and counts."""
    revoke_all(session, None, user_id, at=at)
    refused_logins.record_all(session, user_id, at=at)
    second_factor.delete_all(session, user_id)
    session.execute(delete(KNOWN_ADDRESS).where(KNOWN_ADDRESS.c.user_id == user_id))

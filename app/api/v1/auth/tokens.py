"""The response to a login."""

from datetime import datetime

from app.core.server.runtime import Runtime
from app.schemas.auth.session import Token
from app.services.auth.login_sessions import IssuedSession


def issue_tokens(runtime: Runtime, login_session: IssuedSession, *, at: datetime) -> Token:
    return Token(
        access_token=runtime.signer.sign(login_session.user_id, login_session.session_id, at=at),
        expires_in=int(runtime.signer.lifetime.total_seconds()),
        refresh_token=login_session.refresh_token,
    )

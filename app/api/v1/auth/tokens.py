"""The answer to a login: the session that it opened, as tokens."""

from datetime import datetime

from app.core.server.runtime import Runtime
from app.schemas.auth.session import Token
from app.services.auth.sessions import Opened


def token_of(runtime: Runtime, opened: Opened, *, at: datetime) -> Token:
    return Token(
        access_token=runtime.signer.sign(opened.user_id, opened.session_id, at=at),
        expires_in=int(runtime.signer.lifetime.total_seconds()),
        refresh_token=opened.refresh_token,
    )

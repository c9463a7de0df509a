"""Opening and extending a login session for API clients and for the page, and its tokens."""

from datetime import datetime

from app.api.dependencies.counters import count_login_failures
from app.api.dependencies.transactions import RequestTransactionRunner
from app.api.v1.shared_errors import ErrorTypes
from app.core.email_addresses import email_key
from app.core.security.opaque_tokens import RefreshRefused
from app.core.security.passwords import LoginQueueFull
from app.core.server.rate_limit import TooManyChanges, TooManyRequests
from app.core.server.runtime import Runtime
from app.schemas.auth.session import LoginForm, PageToken, Token
from app.services.auth import login as logins
from app.services.auth import login_sessions
from app.services.auth.errors import (
    LoginRefused,
    OtpRequired,
    OtpWrong,
    SecondFactorLocked,
    SecondFactorUnreadable,
)
from app.services.auth.login import LoginAttempt
from app.services.auth.login_sessions import Client, IssuedSession
from app.services.auth.login_throttle import LoginLimitReached

LOGIN_ERRORS: ErrorTypes = (
    LoginRefused,
    OtpRequired,
    OtpWrong,
    SecondFactorLocked,
    LoginLimitReached,
    TooManyChanges,
    LoginQueueFull,
    SecondFactorUnreadable,
)
REFRESH_ERRORS: ErrorTypes = (RefreshRefused, TooManyRequests)


async def open_session(form: LoginForm, client: Client, tx: RequestTransactionRunner, *, at: datetime) -> IssuedSession:
    """Open a login session for the user of the form. Raises one of LOGIN_ERRORS."""
    attempt = LoginAttempt(form.username, form.otp or None, client)
    tx.share_permits(f"unproven {client.network}", account=email_key(form.username))
    with count_login_failures():
        return await logins.log_in(tx, tx.runtime.hasher, attempt, form.password, at=at)


async def extend_session(refresh_token: str, tx: RequestTransactionRunner, *, at: datetime) -> IssuedSession:
    """Exchange a refresh token for the next one. Raises one of REFRESH_ERRORS."""
    token = tx.runtime.database.keyring.refresh_tokens.decode(
        refresh_token
    )  # rejects a forged token before a permit is acquired
    tx.count_request(f"refreshes of {token.session_id}")
    tx.share_permits(token.user_id, account=token.user_id)
    return await tx.write(login_sessions.refresh, token, at=at)


def issue_tokens(runtime: Runtime, login_session: IssuedSession, *, at: datetime) -> Token:
    """Return both tokens of a login session, for an API client."""
    page_token = issue_page_token(runtime, login_session, at=at)
    return Token(
        access_token=page_token.access_token,
        expires_in=page_token.expires_in,
        refresh_token=login_session.refresh_token,
    )


def issue_page_token(runtime: Runtime, login_session: IssuedSession, *, at: datetime) -> PageToken:
    """Return the access token of a login session, for the page. Its refresh token is in a cookie."""
    return PageToken(
        access_token=runtime.signer.sign(login_session.user_id, login_session.session_id, at=at),
        expires_in=int(runtime.signer.lifetime.total_seconds()),
    )

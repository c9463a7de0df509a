"""Log in, refresh tokens, log out."""

from typing import Annotated

from fastapi import APIRouter, Form, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_user_to_log_out
from app.api.dependencies.counters import count_login_failures
from app.api.dependencies.parameters import AnonymousTransaction, ClientDep, Now, RuntimeDep
from app.api.openapi.error_responses import error_responses
from app.api.v1.auth.tokens import issue_tokens
from app.api.v1.shared_errors import AUTH_ERRORS, COMMON_ERRORS
from app.core.email_addresses import email_key
from app.core.security.opaque_tokens import RefreshRefused
from app.core.security.passwords import LoginQueueFull
from app.core.server.rate_limit import TooManyChanges, TooManyRequests
from app.schemas.auth.session import LoginForm, Token, TokenRefresh
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
from app.services.auth.login_throttle import LoginLimitReached

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post(
    "/login",
    summary="Log in",
    responses=error_responses(
        *COMMON_ERRORS,
        LoginRefused,
        OtpRequired,
        OtpWrong,
        SecondFactorLocked,
        LoginLimitReached,
        TooManyChanges,
        LoginQueueFull,
        SecondFactorUnreadable,
    ),
)
async def log_in(
    form: Annotated[LoginForm, Form()],
    client: ClientDep,
    runtime: RuntimeDep,
    tx: AnonymousTransaction,
    now: Now,
) -> Token:
    """Exchange your e-mail address and password for tokens. If you have a second factor, also send `otp`.

    Unknown fields are ignored.
    """
    attempt = LoginAttempt(form.username, form.otp or None, client)
    tx.share_permits(f"unproven {client.network}", account=email_key(form.username))
    with count_login_failures():
        login_session = await logins.log_in(tx, runtime.hasher, attempt, form.password, at=now)
    return issue_tokens(runtime, login_session, at=now)


@router.post(
    "/refresh",
    summary="Refresh tokens",
    responses=error_responses(*COMMON_ERRORS, RefreshRefused, TooManyRequests),
)
async def refresh_tokens(body: TokenRefresh, runtime: RuntimeDep, tx: AnonymousTransaction, now: Now) -> Token:
    """Exchange a refresh token for a new access token and the next refresh token.

    Use a refresh token once. A retry within 10 seconds returns the same next token. Later use ends the login session.
    """
    token = runtime.database.keyring.refresh_tokens.decode(
        body.refresh_token
    )  # rejects a forged token before a permit is acquired
    tx.count_request(f"refreshes of {token.session_id}")
    tx.share_permits(token.user_id, account=token.user_id)
    login_session = await tx.write(login_sessions.refresh, token, at=now)
    return issue_tokens(runtime, login_session, at=now)


@router.post("/logout", summary="Log out", status_code=204, responses=error_responses(*AUTH_ERRORS))
async def log_out(tx: Annotated[UserTransactionRunner, Security(require_user_to_log_out)], now: Now) -> None:
    """End this login session. Its tokens stop working immediately."""
    await tx.write(login_sessions.log_out, at=now)

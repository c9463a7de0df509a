"""Log in, refresh tokens, log out."""

from typing import Annotated

from fastapi import APIRouter, Form, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_user_to_log_out
from app.api.dependencies.parameters import AnonymousTransaction, ClientDep, Now, RuntimeDep
from app.api.openapi.error_responses import error_responses
from app.api.v1.auth.tokens import LOGIN_ERRORS, REFRESH_ERRORS, extend_session, issue_tokens, open_session
from app.api.v1.shared_errors import AUTH_ERRORS, COMMON_ERRORS
from app.schemas.auth.session import LoginForm, Token, TokenRefresh
from app.services.auth import login_sessions

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post(
    "/login",
    summary="Log in",
    responses=error_responses(*COMMON_ERRORS, *LOGIN_ERRORS),
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
    return issue_tokens(runtime, await open_session(form, client, tx, at=now), at=now)


@router.post(
    "/refresh",
    summary="Refresh tokens",
    responses=error_responses(*COMMON_ERRORS, *REFRESH_ERRORS),
)
async def refresh_tokens(body: TokenRefresh, runtime: RuntimeDep, tx: AnonymousTransaction, now: Now) -> Token:
    """Exchange a refresh token for a new access token and the next refresh token.

    Use a refresh token once. A retry within 10 seconds returns the same next token. Later use ends the login session.
    """
    return issue_tokens(runtime, await extend_session(body.refresh_token, tx, at=now), at=now)


@router.post("/logout", summary="Log out", status_code=204, responses=error_responses(*AUTH_ERRORS))
async def log_out(tx: Annotated[UserTransactionRunner, Security(require_user_to_log_out)], now: Now) -> None:
    """End this login session. Its tokens stop working immediately."""
    await tx.write(login_sessions.log_out, at=now)

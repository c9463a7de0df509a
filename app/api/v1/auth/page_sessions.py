"""Log in, refresh and log out on the page of this service, whose refresh token is in a cookie."""

from typing import Annotated

from fastapi import APIRouter, Form, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_user_to_log_out
from app.api.dependencies.parameters import AnonymousTransaction, ClientDep, Now, RuntimeDep
from app.api.dependencies.refresh_cookie import CrossSiteRequest, PageOriginDep, RefreshCookieDep
from app.api.openapi.error_responses import error_responses
from app.api.v1.auth.tokens import LOGIN_ERRORS, REFRESH_ERRORS, extend_session, issue_page_token, open_session
from app.api.v1.shared_errors import AUTH_ERRORS, COMMON_ERRORS
from app.core.security.opaque_tokens import RefreshRefused
from app.schemas.auth.session import LoginForm, PageToken, TokenRefresh
from app.services.auth import login_sessions

router = APIRouter(prefix="/auth/page", tags=["auth"])


@router.post(
    "/login",
    summary="Log in on the page",
    responses=error_responses(*COMMON_ERRORS, *LOGIN_ERRORS, CrossSiteRequest),
)
async def log_in_on_page(
    form: Annotated[LoginForm, Form()],
    client: ClientDep,
    origin: PageOriginDep,
    cookie: RefreshCookieDep,
    runtime: RuntimeDep,
    tx: AnonymousTransaction,
    now: Now,
) -> PageToken:
    """Log in like `POST /auth/login`. The refresh token is set as a cookie, which scripts can't read.

    For the page of this service only. API clients use `POST /auth/login`.
    """
    origin.check()
    login_session = await open_session(form, client, tx, at=now)
    cookie.set(login_session.refresh_token, runtime.settings)
    return issue_page_token(runtime, login_session, at=now)


@router.post(
    "/refresh",
    summary="Refresh the tokens of the page",
    responses=error_responses(*COMMON_ERRORS, *REFRESH_ERRORS, CrossSiteRequest),
)
async def refresh_on_page(
    origin: PageOriginDep,
    cookie: RefreshCookieDep,
    runtime: RuntimeDep,
    tx: AnonymousTransaction,
    now: Now,
    body: TokenRefresh | None = None,
) -> PageToken:
    """Exchange the refresh token of the cookie for an access token, and set the next one as the cookie.

    After a change of the password, send the `refresh_token` of its response once. It replaces the one of the cookie. A
    rejected refresh deletes the cookie.
    """
    origin.check()
    try:
        login_session = await extend_session(body.refresh_token if body else cookie.read(), tx, at=now)
    except RefreshRefused:
        cookie.delete()
        raise
    cookie.set(login_session.refresh_token, runtime.settings)
    return issue_page_token(runtime, login_session, at=now)


@router.post("/logout", summary="Log out on the page", status_code=204, responses=error_responses(*AUTH_ERRORS))
async def log_out_on_page(
    tx: Annotated[UserTransactionRunner, Security(require_user_to_log_out)], cookie: RefreshCookieDep, now: Now
) -> None:
    """End this login session like `POST /auth/logout`, and delete the cookie."""
    await tx.write(login_sessions.log_out, at=now)
    cookie.delete()

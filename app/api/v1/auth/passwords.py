"""The caller's password, and passwords and password links that admins set."""

from typing import Annotated

from fastapi import APIRouter, Request, Response, Security

from app.api.dependencies.authentication import (
    ClaimsTransactionRunner,
    InteractiveAdminTransaction,
    require_claims_to_change_password,
)
from app.api.dependencies.parameters import AnonymousTransaction, ClientDep, Now, PathId, RuntimeDep
from app.api.http.response_headers import set_location
from app.api.openapi.error_responses import error_responses
from app.api.v1.auth.tokens import issue_tokens
from app.api.v1.shared_errors import AUTH_ERRORS, COMMON_ERRORS, PASSWORD_ERRORS, ROLE_ERRORS
from app.core.mail import MailNotSent
from app.core.security.passwords import LoginQueueFull, WeakPassword
from app.core.server.rate_limit import TooManyChanges
from app.schemas.auth.password import PasswordChange, PasswordLinkRead, PasswordSet, PasswordSetByLink
from app.schemas.auth.session import Token
from app.schemas.users.user import UserWithActions
from app.services.access.errors import UserNotFound
from app.services.auth import login_sessions, passwords
from app.services.auth.errors import LinkRefused, OwnAccount, PasswordUnchanged, UserInactive
from app.services.users import administration

router = APIRouter(prefix="/auth/password", tags=["auth"])
admin_router = APIRouter(prefix="/admin/users", tags=["admin: users"])


@router.post(
    "",
    summary="Change my password",
    responses=error_responses(*AUTH_ERRORS, *PASSWORD_ERRORS, PasswordUnchanged, WeakPassword),
)
async def change_my_password(
    body: PasswordChange,
    tx: Annotated[ClaimsTransactionRunner, Security(require_claims_to_change_password)],
    client: ClientDep,
    runtime: RuntimeDep,
    now: Now,
) -> Token:
    """Change your password. All your login sessions end, and the response has the tokens of a new one.

    Your API tokens are revoked, unless you send `keep_api_tokens`.
    """
    login_session = await passwords.change_password(tx, runtime.hasher, body, client, at=now)
    return issue_tokens(runtime, login_session, at=now)


@router.post(
    "/set",
    summary="Set a password by a password link",
    status_code=204,
    responses=error_responses(*COMMON_ERRORS, LinkRefused, WeakPassword, TooManyChanges, LoginQueueFull),
)
async def set_password_by_link(
    body: PasswordSetByLink, client: ClientDep, runtime: RuntimeDep, tx: AnonymousTransaction, now: Now
) -> None:
    """Set a new password with the token from a password link. The link works once. Log in afterwards.

    Your API tokens are revoked, unless you send `keep_api_tokens`.
    """
    tx.share_permits(f"unproven {client.network}", account=body.token)
    await passwords.set_password_by_link(tx, runtime.hasher, body, client, at=now)


@admin_router.put(
    "/{user_id}/password",
    summary="Set a user's password",
    responses=error_responses(*ROLE_ERRORS, OwnAccount, UserNotFound, LoginQueueFull, WeakPassword),
)
async def set_user_password(
    user_id: PathId,
    body: PasswordSet,
    tx: InteractiveAdminTransaction,
    runtime: RuntimeDep,
    now: Now,
) -> UserWithActions:
    """Set a new password for a user. Their login sessions end immediately, and API tokens without `keep_api_tokens`.

    Prefer a password link, because then only the user knows the password.
    """
    return await administration.set_password(tx, runtime.hasher, user_id, body, at=now)


@admin_router.post(
    "/{user_id}/password-link",
    summary="Create a password link",
    status_code=201,
    responses=error_responses(*ROLE_ERRORS, OwnAccount, UserNotFound, UserInactive, MailNotSent),
)
async def create_password_link(
    user_id: PathId,
    tx: InteractiveAdminTransaction,
    runtime: RuntimeDep,
    now: Now,
    request: Request,
    response: Response,
) -> PasswordLinkRead:
    """Create a link with which the user sets their password. It works once, and it replaces an older link.

    If e-mail is configured, the link is sent to the user. Otherwise it is in the response. `Location` is the URL of the
    user, because nobody can read the link again.
    """
    link = await passwords.send_link(tx, runtime.mailer, user_id, at=now)
    set_location(request, response)
    return link


@admin_router.delete(
    "/{user_id}/sessions",
    summary="End a user's login sessions",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, UserNotFound),
)
async def end_user_sessions(user_id: PathId, tx: InteractiveAdminTransaction, now: Now) -> None:
    """End all login sessions of a user immediately. API tokens keep working: revoke them, or deactivate the user."""
    await tx.write(login_sessions.end_all, user_id, at=now)

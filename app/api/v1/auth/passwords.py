"""One's own password, and links to set one."""

from typing import Annotated

from fastapi import APIRouter, Security

from app.api.dependencies.authentication import (
    ClaimsTransactionRunner,
    InteractiveAdminTransaction,
    require_claims_allow_pending,
)
from app.api.dependencies.parameters import AnonymousTransaction, ClientDep, Now, PathId, RuntimeDep
from app.api.http.problems import error_responses
from app.api.v1.auth.tokens import issue_tokens
from app.api.v1.shared_errors import AUTH_ERRORS, COMMON_ERRORS, PASSWORD_ERRORS, ROLE_ERRORS
from app.core.mail import MailNotSent
from app.core.security.passwords import LoginQueueFull, WeakPassword
from app.schemas.auth.password import PasswordChange, PasswordLinkRead, PasswordSet, PasswordSetByLink
from app.schemas.auth.session import Token
from app.schemas.users.user import AccountRead
from app.services.access.errors import UserNotFound
from app.services.auth import login_sessions, passwords
from app.services.auth.errors import LinkRefused, OwnAccount, PasswordUnchanged, PersonInactive

router = APIRouter(prefix="/auth/password", tags=["auth"])
admin_router = APIRouter(prefix="/admin/users", tags=["admin: users"])


@router.post(
    "",
    summary="Change my password",
    responses=error_responses(*AUTH_ERRORS, *PASSWORD_ERRORS, PasswordUnchanged, WeakPassword, LoginQueueFull),
)
async def change_my_password(
    body: PasswordChange,
    tx: Annotated[ClaimsTransactionRunner, Security(require_claims_allow_pending)],
    client: ClientDep,
    runtime: RuntimeDep,
    now: Now,
) -> Token:
    """All your sessions end, this one too; the answer is a new one. API tokens stay."""
    login_session = await passwords.change_password(tx, runtime.hasher, body, client, at=now)
    return issue_tokens(runtime, login_session, at=now)


@router.post(
    "/set",
    summary="Set a password by a link",
    status_code=204,
    responses=error_responses(*COMMON_ERRORS, LinkRefused, WeakPassword, LoginQueueFull),
)
async def set_password_by_link(
    body: PasswordSetByLink, runtime: RuntimeDep, tx: AnonymousTransaction, now: Now
) -> None:
    """The link works once. Then log in."""
    await passwords.set_password_by_link(tx, runtime.hasher, body, at=now)


@admin_router.put(
    "/{user_id}/password",
    summary="Set a person's password",
    responses=error_responses(*ROLE_ERRORS, OwnAccount, UserNotFound, LoginQueueFull, WeakPassword),
)
async def set_user_password(
    user_id: PathId,
    body: PasswordSet,
    tx: InteractiveAdminTransaction,
    runtime: RuntimeDep,
    now: Now,
) -> AccountRead:
    """Their sessions end at once. Better send a link: then nobody but them knows it."""
    user = await passwords.set_password_by_admin(tx, runtime.hasher, user_id, body, at=now)
    return AccountRead.model_validate(user)


@admin_router.post(
    "/{user_id}/password-link",
    summary="Make a link to set a password",
    status_code=201,
    responses=error_responses(*ROLE_ERRORS, OwnAccount, UserNotFound, PersonInactive, MailNotSent),
)
async def create_password_link(
    user_id: PathId, tx: InteractiveAdminTransaction, runtime: RuntimeDep, now: Now
) -> PasswordLinkRead:
    """Sent to the person where mail is set up, else shown to you. It works once, and in the place of an older one."""
    return await passwords.send_link(tx, runtime.mailer, user_id, at=now)


@admin_router.delete(
    "/{user_id}/sessions",
    summary="Log a person out everywhere",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, UserNotFound),
)
async def end_user_sessions(user_id: PathId, tx: InteractiveAdminTransaction, now: Now) -> None:
    """All their sessions end at once. Their API tokens stay: revoke those, or deactivate the person."""
    await tx.write(login_sessions.end_all, user_id, at=now)

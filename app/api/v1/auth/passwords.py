"""One's own password, and links to set one."""

from typing import Annotated

from fastapi import APIRouter, Security

from app.api.dependencies.authentication import AdminInPerson, ClaimsTransactions, with_any_claims
from app.api.dependencies.parameters import ClientDep, Now, PathId, RuntimeDep, TransactionsDep
from app.api.http.problems import raises
from app.api.v1.auth.tokens import token_of
from app.api.v1.shared_errors import PASSWORD_AGAIN, SIGNED_IN, WITH_ROLE, WITHOUT_LOGIN
from app.core.mail import MailNotSent
from app.core.security.passwords import TooManyLogins, WeakPassword
from app.schemas.auth.password import PasswordByLink, PasswordChange, PasswordLinkRead, PasswordSet
from app.schemas.auth.session import Token
from app.schemas.users.user import AccountRead
from app.services.access.errors import UserNotFound
from app.services.auth import passwords, sessions
from app.services.auth.errors import LinkRefused, OwnAccount, PasswordUnchanged, PersonInactive

router = APIRouter(prefix="/auth/password", tags=["auth"])
admin_router = APIRouter(prefix="/admin/users", tags=["admin: users"])


@router.post(
    "",
    summary="Change my password",
    responses=raises(*SIGNED_IN, *PASSWORD_AGAIN, PasswordUnchanged, WeakPassword, TooManyLogins),
)
async def change_password(
    body: PasswordChange,
    tx: Annotated[ClaimsTransactions, Security(with_any_claims)],
    client: ClientDep,
    runtime: RuntimeDep,
    now: Now,
) -> Token:
    """All your sessions end, this one too; the answer is a new one. API tokens stay."""
    opened = await passwords.change_password(tx, runtime.hasher, body, client, at=now)
    return token_of(runtime, opened, at=now)


@router.post(
    "/set",
    summary="Set a password by a link",
    status_code=204,
    responses=raises(*WITHOUT_LOGIN, LinkRefused, WeakPassword, TooManyLogins),
)
async def set_password_by_link(body: PasswordByLink, runtime: RuntimeDep, tx: TransactionsDep, now: Now) -> None:
    """The link works once. Then log in."""
    await passwords.set_password_by_link(tx, runtime.hasher, body, at=now)


@admin_router.put(
    "/{user_id}/password",
    summary="Set a person's password",
    responses=raises(*WITH_ROLE, OwnAccount, UserNotFound, TooManyLogins, WeakPassword),
)
async def set_password(
    user_id: PathId,
    body: PasswordSet,
    tx: AdminInPerson,
    runtime: RuntimeDep,
    now: Now,
) -> AccountRead:
    """Their sessions end at once. Better send a link: then nobody but them knows it."""
    person = await passwords.set_password_for(tx, runtime.hasher, user_id, body, at=now)
    return AccountRead.model_validate(person)


@admin_router.post(
    "/{user_id}/password-link",
    summary="Make a link to set a password",
    status_code=201,
    responses=raises(*WITH_ROLE, OwnAccount, UserNotFound, PersonInactive, MailNotSent),
)
async def make_password_link(user_id: PathId, tx: AdminInPerson, runtime: RuntimeDep, now: Now) -> PasswordLinkRead:
    """Sent to the person where mail is set up, else shown to you. It works once, and in the place of an older one."""
    return await passwords.send_link(tx, runtime.mailer, user_id, at=now)


@admin_router.delete(
    "/{user_id}/sessions",
    summary="Log a person out everywhere",
    status_code=204,
    responses=raises(*WITH_ROLE, UserNotFound),
)
async def end_sessions(user_id: PathId, tx: AdminInPerson, now: Now) -> None:
    """All their sessions end at once. Their API tokens stay: revoke those, or deactivate the person."""
    await tx.write(sessions.end_all_of, user_id, at=now)

"""One's own password, and links to set one."""

from fastapi import APIRouter

from app.api.dependencies.parameters import (
    Admin,
    ClaimsDep,
    ClientDep,
    Now,
    PathId,
    RuntimeDep,
    SessionDep,
    TransactionsDep,
)
from app.api.dependencies.transactions import TransactionRoute
from app.api.http.problems import raises
from app.api.v1.auth.tokens import token_of
from app.api.v1.shared_errors import PASSWORD_AGAIN, SIGNED_IN, WITH_ROLE, WITHOUT_LOGIN
from app.core.mail import MailNotSent
from app.core.security.passwords import TooManyLogins, WeakPassword
from app.schemas.auth.password import PasswordByLink, PasswordChange, PasswordLinkRead, PasswordSet
from app.schemas.auth.session import Token
from app.schemas.users.user import AccountRead
from app.services.access import authentication
from app.services.access.errors import UserNotFound
from app.services.auth import passwords, sessions
from app.services.auth.errors import LinkRefused, OwnAccount, PasswordUnchanged, PersonInactive

router = APIRouter(prefix="/auth/password", tags=["auth"], route_class=TransactionRoute)
admin_router = APIRouter(prefix="/admin/users", tags=["admin: users"], route_class=TransactionRoute)


@router.post(
    "",
    summary="Change my password",
    responses=raises(*SIGNED_IN, *PASSWORD_AGAIN, PasswordUnchanged, WeakPassword, TooManyLogins),
)
async def change_password(
    body: PasswordChange,
    claims: ClaimsDep,
    client: ClientDep,
    runtime: RuntimeDep,
    transactions: TransactionsDep,
    now: Now,
) -> Token:
    """All your sessions end, this one too; the answer is a new one. API tokens stay."""
    asked = await transactions.read(lambda session: passwords.holder(session, claims))
    passwords.check_is_new(body.current_password, body.new_password)
    matches = await runtime.hasher.verify(body.current_password, asked.password_hash)
    new_hash = await runtime.hasher.hash(body.new_password)
    opened = await transactions.write(
        lambda session: passwords.change(session, claims, asked, client, matches=matches, new_hash=new_hash, at=now)
    )
    return token_of(runtime, opened, at=now)


@router.post(
    "/set",
    summary="Set a password by a link",
    status_code=204,
    responses=raises(*WITHOUT_LOGIN, LinkRefused, WeakPassword, TooManyLogins),
)
async def set_password_by_link(
    body: PasswordByLink, runtime: RuntimeDep, transactions: TransactionsDep, now: Now
) -> None:
    """The link works once. Then log in."""
    await transactions.read(lambda session: passwords.check_link(session, body.token, at=now))
    new_hash = await runtime.hasher.hash(body.new_password)
    await transactions.write(lambda session: passwords.set_by_link(session, body.token, new_hash=new_hash, at=now))


@admin_router.put(
    "/{user_id}/password",
    summary="Set a person's password",
    responses=raises(*WITH_ROLE, OwnAccount, UserNotFound, TooManyLogins, WeakPassword),
)
async def set_password(
    user_id: PathId,
    body: PasswordSet,
    claims: ClaimsDep,
    transactions: TransactionsDep,
    runtime: RuntimeDep,
    now: Now,
) -> AccountRead:
    """Their sessions end at once. Better send a link: then nobody but them knows it."""
    await transactions.read(lambda session: authentication.admin(session, claims))
    password_hash = await runtime.hasher.hash(body.password)
    person = await transactions.write(
        lambda session: passwords.set_for(
            session,
            authentication.admin(session, claims),
            user_id,
            password_hash=password_hash,
            must_change=body.must_change_password,
            at=now,
        )
    )
    return AccountRead.model_validate(person)


@admin_router.post(
    "/{user_id}/password-link",
    summary="Make a link to set a password",
    status_code=201,
    responses=raises(*WITH_ROLE, OwnAccount, UserNotFound, PersonInactive, MailNotSent),
)
async def make_password_link(
    user_id: PathId, claims: ClaimsDep, transactions: TransactionsDep, runtime: RuntimeDep, now: Now
) -> PasswordLinkRead:
    """Sent to the person where mail is set up, else shown to you. It works once, and in the place of an older one."""
    link = await transactions.write(
        lambda session: passwords.make_link(session, authentication.admin(session, claims), user_id, at=now)
    )
    return await passwords.deliver(link, runtime.mailer)


@admin_router.delete(
    "/{user_id}/sessions",
    summary="Log a person out everywhere",
    status_code=204,
    responses=raises(*WITH_ROLE, UserNotFound),
)
def end_sessions(user_id: PathId, session: SessionDep, actor: Admin, now: Now) -> None:
    """All their sessions end at once. Their API tokens stay: revoke those, or deactivate the person."""
    sessions.end_all_of(session, actor, user_id, at=now)

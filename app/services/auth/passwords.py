"""Passwords. A user changes their own, an admin sets one, or a user sets one through a single-use link."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from app.core.database.dialect import upsert
from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner, TransactionRunner
from app.core.mail import Mail, Mailer
from app.core.security.access_tokens import Claims
from app.core.security.opaque_tokens import digest, new_link_token
from app.core.security.passwords import PasswordHasher, normalise
from app.models.tables import PASSWORD_LINK
from app.models.users import User
from app.schemas.auth.password import PasswordChange, PasswordLinkRead, PasswordSet, PasswordSetByLink
from app.services.access import locks
from app.services.access.actor import Actor, UserRow
from app.services.access.api_token_limits import lock_for_change, require_login_session
from app.services.audit import recorder
from app.services.audit.recorder import Fields
from app.services.auth import api_tokens, code_attempts, login_sessions
from app.services.auth.errors import LinkRefused, OwnAccount, PasswordUnchanged, UserInactive
from app.services.auth.login_sessions import Client, IssuedSession
from app.services.auth.reauthentication import PasswordCheck, check_password, load_holder, reauthenticate


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A new password link. Its token is available only here, because only its SHA-256 is stored."""

    user_id: int
    email: str
    token: str
    front_end_url: str | None
    """PASSWORD_LINK_URL with the token; None if that is empty."""
    page_url: str | None
    """The page that accepts the token, of a front end or of this service; None if its address is not known."""
    expires_at: datetime

    def to_email(self) -> Mail:
        """Build the e-mail with the link."""
        instructions = self.page_url or f"POST /api/v1/auth/password/set with the token {self.token}"
        return Mail(
            to=self.email,
            subject="Set your password",
            text=f"Set your password for time tracking here:\n\n{instructions}\n\n"
            f"This link works once, until {self.expires_at:%Y-%m-%d %H:%M} UTC. "
            "If you did not expect this e-mail, tell your admin.\n",
        )


async def change_password(
    tx: CallerTransactionRunner[Claims], hasher: PasswordHasher, data: PasswordChange, client: Client, *, at: datetime
) -> IssuedSession:
    """Change the caller's password, and return a new login session.

    Raises PasswordUnchanged, WeakPassword, LoginQueueFull, and the errors of `change`.
    """
    await tx.read(load_holder)
    check_differs(data.current_password, data.new_password)
    check = await check_password(tx, hasher, data.current_password, client)
    new_hash = await hasher.hash(data.new_password, network=client.network)
    return await tx.write(change, check, new_hash=new_hash, keep_api_tokens=data.keep_api_tokens, at=at)


async def set_password_by_link(
    tx: TransactionRunner, hasher: PasswordHasher, data: PasswordSetByLink, client: Client, *, at: datetime
) -> None:
    """Set the password of the user of a password link. Raises LinkRefused, WeakPassword, LoginQueueFull."""
    await tx.read(check_link, data.token, at=at)
    new_hash = await hasher.hash(data.new_password, network=client.network)
    await tx.write(set_by_link, data, new_hash=new_hash, at=at)


async def send_link(
    tx: CallerTransactionRunner[Actor], mailer: Mailer | None, user_id: int, *, at: datetime
) -> PasswordLinkRead:
    """Create a password link, and send it to the user. Without mail delivery, return it to the admin instead.

    Raises MailNotSent, and the errors of `create_link`.
    """
    link = await tx.write(create_link, user_id, at=at)
    if mailer is not None:
        await mailer.send(link.to_email())
    if mailer is not None and mailer.delivers:
        return PasswordLinkRead(expires_at=link.expires_at, sent=True)
    return PasswordLinkRead(expires_at=link.expires_at, sent=False, token=link.token, link=link.front_end_url)


def check_may_change_login(actor: Actor | None, user: UserRow) -> None:
    """Raise OwnAccount if the actor is this user. Otherwise an admin could skip their own password or code.

    Raise ScopeRequired for an API token.
    """
    require_login_session(actor, "change how a user logs in")
    if actor is not None and actor.id == user.id:
        raise OwnAccount("This endpoint is for other users. For your own account, use the endpoints of /api/v1/auth.")


def check_may_link(actor: Actor | None, user: UserRow) -> None:
    """Raise UserInactive, or the errors of `check_may_change_login`."""
    check_may_change_login(actor, user)
    if not user.is_active:
        raise UserInactive("This user is deactivated. Activate the user first.")


def check_differs(current: str, new: str) -> None:
    """Raise PasswordUnchanged if both passwords are equal after Unicode normalisation."""
    if normalise(current) == normalise(new):
        raise PasswordUnchanged("The new password equals the current one. Choose another password.")


def change(
    session: Session, claims: Claims, check: PasswordCheck, *, new_hash: str, keep_api_tokens: bool, at: datetime
) -> IssuedSession:
    """Change the caller's password, end all their login sessions, and open a new one. API tokens end unless kept.

    Raises LoginLimitReached, PasswordWrong, and the errors of `authenticate`.
    """
    actor, user = reauthenticate(session, claims, check, at=at)
    _store(session, user, new_hash)
    issued = login_sessions.issue(session, actor.id, check.client, at=at)
    _record(session, "user:change_password", user, actor.id, after=login_sessions.event_fields(session, issued), at=at)
    if not keep_api_tokens:
        api_tokens.revoke_all(session, actor.id, actor.id, at=at)
    return issued


def set_by_admin(
    session: Session, actor: Actor, user_id: int, data: PasswordSet, *, password_hash: str, at: datetime
) -> User:
    """Set another user's password, as an admin. Their login sessions end at once, and API tokens unless kept.

    Raises UserNotFound, and the errors of `lock_for_change` and `check_may_change_login`.
    """
    user = lock_for_change(session, actor, user_id)
    check_may_change_login(actor, user)
    _store(session, user, password_hash, must_change=resolve_must_change(session, data.must_change_password))
    code_attempts.reset(session, user_id)
    after = {"must_change_password": user.must_change_password}
    _record(session, "user:set_password", user, actor.id, after=after, at=at)
    if not data.keep_api_tokens:
        api_tokens.revoke_all(session, actor.id, user_id, at=at)
    return user


def resolve_must_change(session: Session, requested: bool | None) -> bool:
    """Return `requested`, or REQUIRE_PASSWORD_CHANGE if it is None."""
    return session.settings.REQUIRE_PASSWORD_CHANGE if requested is None else requested


def create_link(session: Session, actor: Actor | None, user_id: int, *, at: datetime) -> IssuedLink:
    """Create a link with which another user can set their password. It replaces an earlier link of that user.

    `actor` is None for the operator.

    Raises UserNotFound, and the errors of `lock_for_change` and `check_may_link`.
    """
    user = lock_for_change(session, actor, user_id)
    check_may_link(actor, user)
    token, expires_at = new_link_token(), at + timedelta(hours=session.settings.PASSWORD_LINK_HOURS)
    secrets = {"token_hash": digest(token)}
    row = {"user_id": user_id, "created_at": at, "expires_at": expires_at, **secrets}
    session.execute(upsert(PASSWORD_LINK).values(row).on_conflict_do_update(index_elements=["user_id"], set_=row))
    recorder.record(
        session,
        "password_link:create",
        at=at,
        actor_id=actor.id if actor else None,
        subject_id=user_id,
        after={"expires_at": expires_at},
        secrets=secrets,
    )
    front_end_url, page_url = (
        page.replace("{token}", token) or None
        for page in (session.settings.PASSWORD_LINK_URL, session.settings.password_page)
    )
    return IssuedLink(user_id, user.email, token, front_end_url, page_url, expires_at)


def check_link(session: Session, token: str, *, at: datetime) -> int:
    """Return the id of the user of a link. Raises LinkRefused if the link is unknown, used, replaced or expired."""
    query = select(PASSWORD_LINK.c.user_id).where(
        PASSWORD_LINK.c.token_hash == digest(token), PASSWORD_LINK.c.expires_at > at
    )
    user_id: int | None = session.execute(query).scalar_one_or_none()
    if user_id is None:
        raise LinkRefused("This link is invalid, expired or already used. Ask your admin for a new one.")
    return user_id


def set_by_link(session: Session, data: PasswordSetByLink, *, new_hash: str, at: datetime) -> None:
    """Set the password of the link's user, delete the link, and end their login sessions. API tokens end unless kept.

    Raises LinkRefused.
    """
    user_id = check_link(session, data.token, at=at)
    (user,) = locks.lock_users(session, user_id)
    check_link(session, data.token, at=at)  # again under the lock: it may be used or deleted meanwhile
    _store(session, user, new_hash)
    code_attempts.reset(session, user_id)
    _record(session, "user:set_password_by_link", user, user.id, at=at)
    if not data.keep_api_tokens:
        api_tokens.revoke_all(session, user_id, user_id, at=at)


def delete_link(session: Session, user_id: int) -> None:
    """Delete the password link of a locked user, if there is one."""
    session.execute(delete(PASSWORD_LINK).where(PASSWORD_LINK.c.user_id == user_id))


def _record(
    session: Session, action: str, user: User, actor_id: int | None, *, after: Fields | None = None, at: datetime
) -> None:
    """Record a new password. The event holds the MAC of its hash."""
    recorder.record(
        session,
        action,
        at=at,
        actor_id=actor_id,
        subject_id=user.id,
        object_id=user.id,
        after=after,
        secrets={"password_hash": user.password_hash},
    )


def _store(session: Session, user: User, password_hash: str, *, must_change: bool = False) -> None:
    """Store the hash, delete the user's password link, and end their login sessions."""
    user.password_hash = password_hash
    user.must_change_password = must_change
    session.flush()
    delete_link(session, user.id or 0)
    login_sessions.delete_all(session, user.id or 0)

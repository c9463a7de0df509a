"""Passwords: changed by their person, set by an admin, or set through a link that works once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from app.core.database.dialect import upsert
from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner, TransactionRunner
from app.core.mail import Letter, Mailer
from app.core.security.access_tokens import Claims
from app.core.security.opaque_tokens import digest, new_link_token
from app.core.security.passwords import PasswordHasher, normalised
from app.models.tables import LINK
from app.models.users import User
from app.schemas.auth.password import PasswordByLink, PasswordChange, PasswordLinkRead, PasswordSet
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.access.authentication import authenticate, check_caller
from app.services.audit import recorder
from app.services.auth import login_throttle, sessions
from app.services.auth.errors import LinkRefused, OwnAccount, PasswordUnchanged, PasswordWrong, PersonInactive
from app.services.auth.sessions import Client, Opened


@dataclass(frozen=True, slots=True)
class Holder:
    """Who says a password again: what it is checked against."""

    user_id: int
    email: str
    password_hash: str


@dataclass(frozen=True, slots=True)
class Link:
    """A set-password link, as it is handed out this once."""

    user_id: int
    email: str
    token: str
    page: str | None
    """The page of a front end that takes it, where PASSWORD_LINK_URL names one."""
    expires_at: datetime

    def letter(self) -> Letter:
        """The mail that brings it."""
        how = self.page or f"POST /api/v1/auth/password/set with the token {self.token}"
        return Letter(
            to=self.email,
            subject="Set your password",
            text=f"Set your password for the time tracking here:\n\n{how}\n\n"
            f"This works once, until {self.expires_at:%Y-%m-%d %H:%M} UTC. If you didn't expect it, tell your admin.\n",
        )


async def change_password(
    tx: CallerTransactionRunner[Claims], hasher: PasswordHasher, wanted: PasswordChange, client: Client, *, at: datetime
) -> Opened:
    """Give the caller a new password and a new session. Raises WeakPassword, TooManyLogins, and as `change`."""
    asked = await tx.read(holder)
    check_is_new(wanted.current_password, wanted.new_password)
    matches = await hasher.verify(wanted.current_password, asked.password_hash)
    new_hash = await hasher.hash(wanted.new_password)
    return await tx.write(change, asked, client, matches=matches, new_hash=new_hash, at=at)


async def set_password_for(
    tx: CallerTransactionRunner[Actor], hasher: PasswordHasher, user_id: int, wanted: PasswordSet, *, at: datetime
) -> User:
    """Give somebody else a new password, as an admin. Raises WeakPassword, TooManyLogins, and as `set_for`."""
    await tx.read(check_caller)
    password_hash = await hasher.hash(wanted.password)
    return await tx.write(set_for, user_id, password_hash=password_hash, must_change=wanted.must_change_password, at=at)


async def set_password_by_link(
    tx: TransactionRunner, hasher: PasswordHasher, wanted: PasswordByLink, *, at: datetime
) -> None:
    """Set the password of a link's person. Raises LinkRefused, WeakPassword, TooManyLogins."""
    await tx.read(check_link, wanted.token, at=at)
    new_hash = await hasher.hash(wanted.new_password)
    await tx.write(set_by_link, wanted.token, new_hash=new_hash, at=at)


async def send_link(
    tx: CallerTransactionRunner[Actor], mailer: Mailer | None, user_id: int, *, at: datetime
) -> PasswordLinkRead:
    """Bring a link to its person, or show it to the admin where no mail reaches anybody.

    Raises MailNotSent, and as `make_link`.
    """
    link = await tx.write(make_link, user_id, at=at)
    if mailer is not None:
        await mailer.send(link.letter())
    if mailer is not None and mailer.reaches_people:
        return PasswordLinkRead(expires_at=link.expires_at, sent=True)
    return PasswordLinkRead(expires_at=link.expires_at, sent=False, token=link.token, link=link.page)


def holder(session: Session, claims: Claims) -> Holder:
    """The caller, whose password is about to be asked for again. Raises what `authenticate` raises."""
    person = session.get_one(User, authenticate(session, claims).id)
    return Holder(person.id or 0, person.email, person.password_hash)


def check_again(
    session: Session, claims: Claims, asked: Holder, client: Client, *, matches: bool, at: datetime
) -> tuple[Actor, User]:
    """The caller and their row, locked, if they said their password right; a wrong one counts as a wrong login.

    Raises BadToken, LoginLimitReached, PasswordWrong.
    """
    too_many = login_throttle.refusal(session, asked.email, asked.user_id, client.address, at=at)
    (person,) = locks.lock(session, asked.user_id)
    actor = authenticate(session, claims)
    if too_many is not None:
        _record_wrong(session, asked, why="too_many", at=at)
        raise too_many
    if matches and person.password_hash == asked.password_hash:
        return actor, person
    count_wrong(session, asked, client, why="password_again", at=at)
    raise PasswordWrong("That isn't your present password.")


def count_wrong(session: Session, asked: Holder, client: Client, *, why: str, at: datetime) -> None:
    """Count and record what a caller said wrong about themselves, like a wrong login."""
    login_throttle.count(session, asked.email, client.address, at=at)
    _record_wrong(session, asked, why=why, at=at)


def check_not_oneself(actor: Actor, user_id: int) -> None:
    """Raises OwnAccount: on oneself these ways would need neither the present password nor a code."""
    if actor.id == user_id:
        raise OwnAccount("This is for other people's accounts. For your own, see /api/v1/auth.")


def check_is_new(current: str, new: str) -> None:
    """Raises PasswordUnchanged."""
    if normalised(current) == normalised(new):
        raise PasswordUnchanged("The new password is the old one. Choose another.")


def change(
    session: Session, claims: Claims, asked: Holder, client: Client, *, matches: bool, new_hash: str, at: datetime
) -> Opened:
    """Give the caller a new password and a new session; every other one ends, and the one that asks.

    Raises LoginLimitReached, PasswordWrong.
    """
    actor, person = check_again(session, claims, asked, client, matches=matches, at=at)
    _put(session, person, new_hash, must_change=False)
    recorder.record(session, "user:change_password", at=at, actor_id=actor.id, subject_id=actor.id, object_id=actor.id)
    return sessions.open_for(session, actor.id, client, at=at)


def set_for(
    session: Session, actor: Actor, user_id: int, *, password_hash: str, must_change: bool | None, at: datetime
) -> User:
    """Give somebody else a new password, as an admin; their sessions end at once. Raises OwnAccount, UserNotFound."""
    check_not_oneself(actor, user_id)
    (person,) = locks.lock(session, user_id)
    _put(session, person, password_hash, must_change=must_be_changed(session, must_change))
    told = {"must_change_password": person.must_change_password}
    recorder.record(
        session, "user:set_password", at=at, actor_id=actor.id, subject_id=person.id, object_id=person.id, after=told
    )
    return person


def must_be_changed(session: Session, asked: bool | None) -> bool:
    """Whether a password that an admin gives must be changed: as they ask, else as the settings say."""
    return session.settings.REQUIRE_PASSWORD_CHANGE if asked is None else asked


def make_link(session: Session, actor: Actor, user_id: int, *, at: datetime) -> Link:
    """A link to set somebody else's password, in the place of an older one.

    Raises OwnAccount, UserNotFound, PersonInactive.
    """
    check_not_oneself(actor, user_id)
    (person,) = locks.lock(session, user_id)
    if not person.is_active:
        raise PersonInactive("This person is deactivated. Activate them first.")
    token, expires_at = new_link_token(), at + timedelta(hours=session.settings.PASSWORD_LINK_HOURS)
    row = {"user_id": user_id, "token_hash": digest(token), "created_at": at, "expires_at": expires_at}
    session.execute(upsert(LINK).values(row).on_conflict_do_update(index_elements=["user_id"], set_=row))
    recorder.record(
        session, "password_link:create", at=at, actor_id=actor.id, subject_id=user_id, after={"expires_at": expires_at}
    )
    page = session.settings.PASSWORD_LINK_URL.replace("{token}", token) or None
    return Link(user_id, person.email, token, page, expires_at)


def check_link(session: Session, token: str, *, at: datetime) -> int:
    """Whose link a token is of. Raises LinkRefused for one that is unknown, used, replaced or too old."""
    good = select(LINK.c.user_id).where(LINK.c.token_hash == digest(token), LINK.c.expires_at > at)
    user_id: int | None = session.execute(good).scalar_one_or_none()
    if user_id is None:
        raise LinkRefused("This link is not valid, or no longer. Ask your admin for a new one.")
    return user_id


def set_by_link(session: Session, token: str, *, new_hash: str, at: datetime) -> None:
    """Set the password of the link's person and use the link up; their sessions end. Raises LinkRefused."""
    (person,) = locks.lock(session, check_link(session, token, at=at))
    check_link(session, token, at=at)  # under the lock: used up meanwhile, or gone with the person's deactivation
    _put(session, person, new_hash, must_change=False)
    recorder.record(
        session, "user:set_password_by_link", at=at, actor_id=person.id, subject_id=person.id, object_id=person.id
    )


def forget_link(session: Session, user_id: int) -> None:
    """Delete a locked person's link, if there is one."""
    session.execute(delete(LINK).where(LINK.c.user_id == user_id))


def _record_wrong(session: Session, asked: Holder, *, why: str, at: datetime) -> None:
    told = {"why": why}
    recorder.record(session, "login:refuse", at=at, actor_id=asked.user_id, subject_id=asked.user_id, after=told)


def _put(session: Session, person: User, password_hash: str, *, must_change: bool) -> None:
    """Put the hash in its place; what the old password opened ends, sessions and an open link alike."""
    person.password_hash = password_hash
    person.must_change_password = must_change
    session.flush()
    forget_link(session, person.id or 0)
    sessions.forget_all(session, person.id or 0)

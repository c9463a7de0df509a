"""Logging in: with a password, and a second factor where the person has one.

A login reads, gives its connection back while the password is hashed, and then reads again in a writing transaction:
the account may have changed meanwhile.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.core.database.session import Session
from app.core.database.transactions import TransactionRunner
from app.core.security.passwords import PasswordHasher
from app.core.text import text_key
from app.models.tables import USER
from app.services.access import locks
from app.services.audit import recorder
from app.services.auth import login_throttle, second_factor, sessions
from app.services.auth.errors import LoginRefused, OtpRequired, OtpWrong
from app.services.auth.sessions import Client, Opened


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody typed, and from where."""

    email: str
    otp: str | None
    client: Client


@dataclass(frozen=True, slots=True)
class Account:
    """What a login is checked against."""

    user_id: int
    password_hash: str
    is_active: bool
    has_second_factor: bool


def find_account(session: Session, attempt: Attempt, *, at: datetime) -> Account | None:
    """The account with this e-mail in any case; None where there is none.

    Raises LoginLimitReached for an address that is refused whatever it asks: it costs no hash.
    """
    account = _account(session, attempt.email)
    user_id = account.user_id if account is not None else None
    login_throttle.check_address(session, user_id, attempt.client.address, at=at)
    return account


async def log_in(
    tx: TransactionRunner, hasher: PasswordHasher, attempt: Attempt, password: str, *, at: datetime
) -> Opened:
    """Open a session for whoever knows the account's password, and has the code of its second factor.

    Raises TooManyLogins, and what `find_account` and `open_session` raise.
    """
    account = await tx.read(find_account, attempt, at=at)
    matches = await hasher.verify(password, account.password_hash if account else None)
    return await tx.write(open_session, attempt, account, password_matches=matches, at=at)


def open_session(
    session: Session, attempt: Attempt, account: Account | None, *, password_matches: bool, at: datetime
) -> Opened:
    """Open a session for who proved to be the account's person, and record the login.

    Raises LoginLimitReached; LoginRefused, which says one thing for an unknown e-mail, a wrong password and a
    deactivated person; OtpRequired and OtpWrong for a right password without a right code. A refusal's event stays,
    with the person's id or a keyed digest of what was typed, never the text: people type passwords there.
    """
    user_id = account.user_id if account is not None else None
    too_many = login_throttle.refusal(session, attempt.email, user_id, attempt.client.address, at=at)
    fresh = _account(session, attempt.email, locking=user_id)
    if too_many is not None:  # recorded like any other, which takes as long
        _record_refusal(session, attempt, fresh, at=at, why="too_many")
        raise too_many
    if account is None or fresh != account or not account.is_active or not password_matches:
        login_throttle.count(session, attempt.email, attempt.client.address, at=at)
        _record_refusal(session, attempt, fresh, at=at)
        raise LoginRefused("E-mail or password is wrong, or the account is deactivated.")
    if account.has_second_factor:
        _check_second_factor(session, attempt, account, at=at)
    login_throttle.remember(session, account.user_id, attempt.client.address, at=at)
    opened = sessions.open_for(session, account.user_id, attempt.client, at=at)
    told = {"session_id": opened.session_id, "second_factor": account.has_second_factor}
    recorder.record(session, "login:accept", at=at, actor_id=opened.user_id, subject_id=opened.user_id, after=told)
    return opened


def _check_second_factor(session: Session, attempt: Attempt, account: Account, *, at: datetime) -> None:
    if attempt.otp is None:
        _record_refusal(session, attempt, account, at=at, why="otp_required")
        raise OtpRequired("Send the code of your authenticator, or a recovery code, as the form field otp.")
    if not second_factor.accepts(session, account.user_id, attempt.otp, at=at):
        login_throttle.count(session, attempt.email, attempt.client.address, at=at)
        _record_refusal(session, attempt, account, at=at, why="invalid_otp")
        raise OtpWrong("This code is wrong, or was used before. Wait for the next one.")


def _record_refusal(
    session: Session, attempt: Attempt, account: Account | None, *, at: datetime, why: str | None = None
) -> None:
    subject_id = account.user_id if account is not None else None
    facts = {"why": why} if why else None
    if subject_id is None:
        facts = {"typed_digest": login_throttle.account_key(session, attempt.email)}
    recorder.record(session, "login:refuse", at=at, actor_id=None, subject_id=subject_id, after=facts)


def _account(session: Session, email: str, *, locking: int | None = None) -> Account | None:
    columns = (USER.c.id, USER.c.password_hash, USER.c.is_active, USER.c.has_second_factor)
    found = select(*columns).where(USER.c.email_key == text_key(email))
    options = {} if locking is None else locks.lock_first(locking)
    row = session.execute(found, execution_options=options).one_or_none()
    return None if row is None else Account(*row)

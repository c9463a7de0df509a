"""Login with a password, and with a second factor if the user has one.

A login releases its database connection while the password is hashed. The account may change in the meantime, so the
second transaction reads the account again under a lock.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.core.database.session import Session
from app.core.database.transactions import TransactionRunner
from app.core.email_addresses import email_key
from app.core.security.passwords import PasswordHasher
from app.models.tables import USER
from app.services.access import locks
from app.services.audit import recorder
from app.services.auth import login_sessions, login_throttle, refused_logins, second_factor
from app.services.auth.errors import LoginRefused, OtpRequired, OtpWrong
from app.services.auth.login_sessions import Client, IssuedSession


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """The values that a client sent for a login, and its address. `email` may belong to no user."""

    email: str
    otp: str | None
    client: Client


@dataclass(frozen=True, slots=True)
class Credentials:
    """The stored values that a login is checked against."""

    user_id: int
    password_hash: str
    is_active: bool
    has_second_factor: bool


def find_credentials(session: Session, attempt: LoginAttempt) -> Credentials | None:
    """Return the credentials of the user with this e-mail (case-insensitive), or None.

    No limit is checked before the hash. Otherwise the response time would disclose to whom the limit applies.
    """
    return _load_credentials(session, attempt.email)


async def log_in(
    tx: TransactionRunner, hasher: PasswordHasher, attempt: LoginAttempt, password: str, *, at: datetime
) -> IssuedSession:
    """Verify the password and the second factor, and open a login session.

    Raises LoginQueueFull, and the errors of `open_login_session`.
    """
    credentials = await tx.read(find_credentials, attempt)
    password_hash = credentials.password_hash if credentials else None
    password_matches = await hasher.verify(password, password_hash, network=attempt.client.network)
    return await tx.write(open_login_session, attempt, credentials, password_matches=password_matches, at=at)


def open_login_session(
    session: Session, attempt: LoginAttempt, credentials: Credentials | None, *, password_matches: bool, at: datetime
) -> IssuedSession:
    """Open a login session, and record the login in the audit log. A rejected login is counted (`refused_logins`).

    Raises LoginLimitReached. Raises LoginRefused with the same detail for an unknown e-mail, a wrong password and a
    deactivated user. Raises OtpRequired, OtpWrong or SecondFactorLocked if the password is right.
    """
    user_id = credentials.user_id if credentials is not None else None
    with refused_logins.count_refusal(session, user_id, at=at):
        _check_credentials(session, attempt, credentials, user_id, password_matches=password_matches, at=at)
    assert credentials is not None
    login_throttle.remember_address(session, credentials.user_id, attempt.client.address, at=at)
    issued = login_sessions.issue(session, credentials.user_id, attempt.client, at=at)
    fields = login_sessions.event_fields(session, issued) | {"second_factor": credentials.has_second_factor}
    recorder.record(session, "login:accept", at=at, actor_id=issued.user_id, subject_id=issued.user_id, after=fields)
    return issued


def _check_credentials(
    session: Session,
    attempt: LoginAttempt,
    credentials: Credentials | None,
    user_id: int | None,
    *,
    password_matches: bool,
    at: datetime,
) -> None:
    current = _load_credentials(session, attempt.email, lock_user_id=user_id)
    limit = login_throttle.find_reached_limit(session, attempt.email, user_id, attempt.client.address, at=at)
    is_refused = credentials is None or current != credentials or not credentials.is_active or not password_matches
    if limit is not None and (is_refused or not limit.accepts_right_password):
        login_throttle.record_beyond_limit(session, limit, at=at)
        raise limit.error
    if credentials is None or is_refused:
        login_throttle.record_failure(session, attempt.email, attempt.client.address, at=at)
        raise LoginRefused("The e-mail or the password is wrong, or the account is deactivated.")
    if credentials.has_second_factor:
        _check_second_factor(session, attempt, credentials, at=at)


def _check_second_factor(session: Session, attempt: LoginAttempt, credentials: Credentials, *, at: datetime) -> None:
    if attempt.otp is None:
        raise OtpRequired("Send the code from your authenticator app, or a recovery code, in the form field otp.")
    if not second_factor.verify_code(session, credentials.user_id, attempt.otp, at=at):
        login_throttle.record_failure(session, attempt.email, attempt.client.address, at=at)
        raise OtpWrong("The code in otp is wrong or was already used. Wait for the next code.")


def _load_credentials(session: Session, email: str, *, lock_user_id: int | None = None) -> Credentials | None:
    columns = (USER.c.id, USER.c.password_hash, USER.c.is_active, USER.c.has_second_factor)
    query = select(*columns).where(USER.c.email_key == email_key(email))
    options = {} if lock_user_id is None else locks.user_lock_options(lock_user_id)
    row = session.execute(query, execution_options=options).one_or_none()
    return None if row is None else Credentials(*row)

"""Limits on failed logins. They are counted in the database, so they hold across worker processes and restarts.

- Per account and address: 10 failed logins in 5 minutes.
- Per address: 100 failed logins in 5 minutes.
- Per account: 100 failed logins in an hour.

At the last two limits, a user may still log in from an address from which they logged in before. Only the right
password passes there. Any other attempt has the same response and the same statements, from known addresses too.
Logins to accounts that do not exist count too, so the limits do not disclose which accounts exist. Rejected attempts
do not count towards these limits, so repeated attempts do not extend a lockout.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, ScalarSelect, and_, bindparam, delete, insert, or_, select

from app.core.database.dialect import delete_batch, upsert
from app.core.database.session import Session
from app.core.email_addresses import email_key
from app.core.errors import RateLimited, RateLimitPolicy
from app.core.server.ip_addresses import rate_limit_key
from app.models.tables import FAILED_LOGIN, KNOWN_ADDRESS

ACCOUNT_AND_ADDRESS_POLICY = RateLimitPolicy("login-account-address", 10, 300)
ADDRESS_POLICY = RateLimitPolicy("login-address", 100, 300)
ACCOUNT_POLICY = RateLimitPolicy("login-account", 100, 3600)
KNOWN_ADDRESS_LIFETIME = timedelta(days=90)
MAX_KNOWN_ADDRESSES = 100
"""Addresses kept for each user: those of the newest logins."""
CLOCK_SKEW_TOLERANCE = timedelta(minutes=1)
"""Failures dated in the future count up to this tolerance. They come from attempts that started later but finished
earlier. Failures dated further ahead come from a wrong clock, so they are ignored."""
BEYOND_LIMIT = "beyond a limit"
"""Stored as the address of a guess beyond a limit, so that the guess does not count for the limit of its address."""
PURGE_BATCH_SIZE = 50
_OLD_FAILURES = select(FAILED_LOGIN.c.id).where(FAILED_LOGIN.c.at <= bindparam("until")).order_by(FAILED_LOGIN.c.at)
_PURGE_FAILURES = delete_batch(_OLD_FAILURES, PURGE_BATCH_SIZE)
_INSERT_FAILURE = insert(FAILED_LOGIN).values({name: bindparam(name) for name in ("account", "address", "at")})
_EXCESS_ADDRESSES = (
    select(KNOWN_ADDRESS.c.address)
    .where(KNOWN_ADDRESS.c.user_id == bindparam("user_id"))
    .order_by(KNOWN_ADDRESS.c.last_login_at.desc(), KNOWN_ADDRESS.c.address)
    .offset(MAX_KNOWN_ADDRESSES)
)
_PURGE_KNOWN_ADDRESSES = delete(KNOWN_ADDRESS).where(
    KNOWN_ADDRESS.c.user_id == bindparam("user_id"),
    (KNOWN_ADDRESS.c.last_login_at <= bindparam("until")) | KNOWN_ADDRESS.c.address.in_(_EXCESS_ADDRESSES),
)


class LoginLimitReached(RateLimited):
    code = "login_limit_reached"
    title = "Too many failed logins"
    is_audited = True


@dataclass(frozen=True, slots=True)
class ReachedLimit:
    """A limit that an attempt has reached."""

    error: LoginLimitReached
    accepts_right_password: bool
    guess_key: str | None
    """The key under which a rejected attempt is counted. None after ACCOUNT_AND_ADDRESS_POLICY.quota attempts."""


def find_reached_limit(
    session: Session, email: str, user_id: int | None, address: str, *, at: datetime
) -> ReachedLimit | None:
    """Return the limit that is reached for this attempt, or None.

    Locks the address and the account until the commit, so concurrent attempts cannot exceed a limit. The caller has
    locked the user's row before. Otherwise, everybody at the address would wait while one user's row is locked. One
    statement reads all limits, so the response time does not depend on which limit applies or whether the account
    exists.
    """
    network, account = rate_limit_key(address), account_key(session, email)
    guess_key = _digest(session, "login-beyond-limit", f"{network} {email_key(email)}")
    _lock(session, network, account)
    same_address, same_account = FAILED_LOGIN.c.address == network, FAILED_LOGIN.c.account == account
    either = or_(and_(same_address, same_account), FAILED_LOGIN.c.account == guess_key)
    *used_up_at, guesses_used_up_at, is_known = session.execute(
        select(
            _quota_used_up_at(ADDRESS_POLICY, same_address, at=at),
            _quota_used_up_at(ACCOUNT_AND_ADDRESS_POLICY, same_address, same_account, at=at),
            _quota_used_up_at(ACCOUNT_POLICY, same_account, at=at),
            _quota_used_up_at(ACCOUNT_AND_ADDRESS_POLICY, either, at=at),
            _is_known_address(user_id, network, at=at),
        )
    ).one()
    policies = (ADDRESS_POLICY, ACCOUNT_AND_ADDRESS_POLICY, ACCOUNT_POLICY)
    for policy, policy_used_up_at in zip(policies, used_up_at, strict=True):
        if policy_used_up_at is not None:
            error = _make_limit_error(policy, policy_used_up_at, at=at)
            if guesses_used_up_at is not None:
                return ReachedLimit(error, accepts_right_password=False, guess_key=None)
            return ReachedLimit(error, accepts_right_password=bool(is_known), guess_key=guess_key)
    return None


def record_beyond_limit(session: Session, limit: ReachedLimit, *, at: datetime) -> None:
    """Count a rejected attempt beyond a limit, so that the password cannot be guessed from a known address.

    Attempts from all addresses count, because an insert for known addresses only would disclose them by its time.
    """
    if limit.guess_key is not None:
        _insert_failure(session, limit.guess_key, BEYOND_LIMIT, at=at)


def record_failure(session: Session, email: str, address: str, *, at: datetime) -> None:
    """Count a failed login, and delete up to PURGE_BATCH_SIZE failures that are too old to count."""
    _insert_failure(session, account_key(session, email), rate_limit_key(address), at=at)


def remember_address(session: Session, user_id: int, address: str, *, at: datetime) -> None:
    """Store the address as known for the user, and delete addresses older than KNOWN_ADDRESS_LIFETIME."""
    row = {"user_id": user_id, "address": rate_limit_key(address), "last_login_at": at}
    known = upsert(KNOWN_ADDRESS).values(row)
    session.execute(known.on_conflict_do_update(index_elements=["user_id", "address"], set_={"last_login_at": at}))
    session.execute(_PURGE_KNOWN_ADDRESSES, {"user_id": user_id, "until": at - KNOWN_ADDRESS_LIFETIME})


def account_key(session: Session, email: str) -> str:
    """Return a keyed digest of the e-mail. The text is not stored, because users type passwords there by mistake."""
    return _digest(session, "login", email_key(email))


def _digest(session: Session, purpose: str, text: str) -> str:
    key = f"{purpose}:{session.keyring.signing_key}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _insert_failure(session: Session, account: str, address: str, *, at: datetime) -> None:
    session.execute(_INSERT_FAILURE, {"account": account, "address": address, "at": at})
    session.execute(_PURGE_FAILURES, {"until": at - _window(ACCOUNT_POLICY)})


def _quota_used_up_at(
    policy: RateLimitPolicy, *conditions: ColumnElement[bool], at: datetime
) -> ScalarSelect[datetime]:
    """Select the time of the oldest of the newest `policy.quota` failures, or null if there are fewer."""
    in_window = (FAILED_LOGIN.c.at > at - _window(policy), FAILED_LOGIN.c.at <= at + CLOCK_SKEW_TOLERANCE)
    newest = select(FAILED_LOGIN.c.at).where(*conditions, *in_window).order_by(FAILED_LOGIN.c.at.desc())
    return newest.offset(policy.quota - 1).limit(1).scalar_subquery()


def _is_known_address(user_id: int | None, network: str, *, at: datetime) -> ColumnElement[bool]:
    known = (
        KNOWN_ADDRESS.c.user_id == (user_id or 0),
        KNOWN_ADDRESS.c.address == network,
        KNOWN_ADDRESS.c.last_login_at > at - KNOWN_ADDRESS_LIFETIME,
    )
    return select(KNOWN_ADDRESS.c.user_id).where(*known).exists()


def _make_limit_error(policy: RateLimitPolicy, used_up_at: datetime, *, at: datetime) -> LoginLimitReached:
    """Build the error. The next attempt is allowed when the failure at `used_up_at` leaves the window."""
    seconds = int((used_up_at + _window(policy) - at).total_seconds())
    detail = "Too many logins failed. Wait, or log in from a network where you logged in before."
    return LoginLimitReached(detail, policy=policy, retry_after_seconds=max(1, seconds))


def _window(policy: RateLimitPolicy) -> timedelta:
    return timedelta(seconds=policy.window_seconds)


def _lock(session: Session, network: str, account: str) -> None:
    """Lock the address, then the account, after the user's row. The fixed order prevents deadlocks."""
    session.lock_keys(network, account)

"""How often a login may be wrong: counted in the database, for all workers together and over a restart.

10 wrong ones in 5 minutes for an account from an address, 100 in 5 minutes from an address, 100 an hour for an account;
beyond the last two, only who logged in from the address before may try. What is typed for an account that
doesn't exist counts like any other: the limit tells nobody who works here. A refused try isn't counted, so nobody is
locked out for longer by knocking.
"""

import hashlib
import hmac
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, delete, insert, select

from app.core.database.dialect import upsert
from app.core.database.session import Session
from app.core.errors import RateLimited, RateLimitPolicy
from app.core.server.ip_addresses import rate_limit_key
from app.core.text import casefold_key
from app.models.tables import FAILED_LOGIN, KNOWN_ADDRESS

ACCOUNT_AND_ADDRESS_POLICY = RateLimitPolicy("login-account-address", 10, 300)
ADDRESS_POLICY = RateLimitPolicy("login-address", 100, 300)
ACCOUNT_POLICY = RateLimitPolicy("login-account", 100, 3600)
KNOWN_ADDRESS_LIFETIME = timedelta(days=90)
CLOCK_SKEW_TOLERANCE = timedelta(minutes=1)
"""A failure dated later than this try may be of one that came after it and was judged before; further ahead, it is of a
clock that was wrong."""
PURGE_BATCH_SIZE = 50
_OLD_FAILURES = (
    select(FAILED_LOGIN.c.id)
    .where(FAILED_LOGIN.c.at <= bindparam("until"))
    .order_by(FAILED_LOGIN.c.at)
    .limit(PURGE_BATCH_SIZE)
)
_PURGE_FAILURES = delete(FAILED_LOGIN).where(FAILED_LOGIN.c.id.in_(_OLD_FAILURES.with_for_update(skip_locked=True)))
_INSERT_FAILURE = insert(FAILED_LOGIN).values({name: bindparam(name) for name in ("account", "address", "at")})
_PURGE_KNOWN_ADDRESSES = delete(KNOWN_ADDRESS).where(
    KNOWN_ADDRESS.c.user_id == bindparam("user_id"), KNOWN_ADDRESS.c.last_login_at <= bindparam("until")
)


class LoginLimitReached(RateLimited):
    code = "login_limit_reached"
    title = "Too many failed logins"
    is_audited = True


def check_address(session: Session, user_id: int | None, address: str, *, at: datetime) -> None:
    """Raises LoginLimitReached while too many logins from the address were wrong, whosever they were; but for those who
    logged in from there before: one of them can't close it to the rest of an office."""
    network = rate_limit_key(address)
    used_up_at_query = _quota_used_up_at(ADDRESS_POLICY, FAILED_LOGIN.c.address == network, at=at)
    used_up_at, is_known = session.execute(select(used_up_at_query, _is_known_address(user_id, network, at=at))).one()
    if used_up_at is not None and not is_known:
        raise _make_limit_error(ADDRESS_POLICY, used_up_at, at=at)


def find_limit_error(
    session: Session, email: str, user_id: int | None, address: str, *, at: datetime
) -> LoginLimitReached | None:
    """Why this try, be it right or wrong, is one too many; None where it isn't.

    From here to the commit, no other try for the account or from the address goes on: of a hundred at once, not one
    more is let through than of a hundred in a row. One statement asks for all, whoever it is: the clock tells nothing.
    """
    network, account = rate_limit_key(address), account_key(session, email)
    _lock(session, network, account)
    same_address, same_account = FAILED_LOGIN.c.address == network, FAILED_LOGIN.c.account == account
    account_and_address_used_up_at, address_used_up_at, account_used_up_at, is_known = session.execute(
        select(
            _quota_used_up_at(ACCOUNT_AND_ADDRESS_POLICY, same_address, same_account, at=at),
            _quota_used_up_at(ADDRESS_POLICY, same_address, at=at),
            _quota_used_up_at(ACCOUNT_POLICY, same_account, at=at),
            _is_known_address(user_id, network, at=at),
        )
    ).one()
    if account_and_address_used_up_at is not None:
        return _make_limit_error(ACCOUNT_AND_ADDRESS_POLICY, account_and_address_used_up_at, at=at)
    if address_used_up_at is not None and not is_known:
        return _make_limit_error(ADDRESS_POLICY, address_used_up_at, at=at)
    if account_used_up_at is not None and not is_known:
        return _make_limit_error(ACCOUNT_POLICY, account_used_up_at, at=at)
    return None


def record_failure(session: Session, email: str, address: str, *, at: datetime) -> None:
    """Count a wrong login, and let go of a few that are too old to count."""
    row = {"account": account_key(session, email), "address": rate_limit_key(address), "at": at}
    session.execute(_INSERT_FAILURE, row)
    session.execute(_PURGE_FAILURES, {"until": at - _window(ACCOUNT_POLICY)})


def remember_address(session: Session, user_id: int, address: str, *, at: datetime) -> None:
    """Note that a person logged in from the address, and forget from where they didn't for long."""
    row = {"user_id": user_id, "address": rate_limit_key(address), "last_login_at": at}
    known = upsert(KNOWN_ADDRESS).values(row)
    session.execute(known.on_conflict_do_update(index_elements=["user_id", "address"], set_={"last_login_at": at}))
    session.execute(_PURGE_KNOWN_ADDRESSES, {"user_id": user_id, "until": at - KNOWN_ADDRESS_LIFETIME})


def account_key(session: Session, email: str) -> str:
    """A keyed digest of what was typed as e-mail: people type passwords there."""
    key = b"login:" + session.keyring.signing_key.encode()
    return hmac.new(key, casefold_key(email).encode(), hashlib.sha256).hexdigest()


def _quota_used_up_at(
    policy: RateLimitPolicy, *conditions: ColumnElement[bool], at: datetime
) -> ScalarSelect[datetime]:
    """When the wrong login was that makes the newest ones a quota's worth; null where there is room for another."""
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
    """A try is allowed again when that wrong login leaves the window."""
    seconds = int((used_up_at + _window(policy) - at).total_seconds())
    detail = "Too many logins failed. Wait, or log in from where you did before."
    return LoginLimitReached(detail, policy=policy, retry_after_seconds=max(1, seconds))


def _window(policy: RateLimitPolicy) -> timedelta:
    return timedelta(seconds=policy.window_seconds)


def _lock(session: Session, network: str, account: str) -> None:
    """The address first, then the account, always: who waits in this order can't wait in a circle."""
    session.lock_keys(network, account)

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
from app.core.errors import Policy, TooMany
from app.core.server.ip_addresses import network_of
from app.core.text import text_key
from app.models.tables import FAILED, KNOWN

OF_PAIR = Policy("login-account-address", 10, 300)
OF_ADDRESS = Policy("login-address", 100, 300)
OF_ACCOUNT = Policy("login-account", 100, 3600)
KNOWN_FOR = timedelta(days=90)
CLOCK_SLACK = timedelta(minutes=1)
"""A failure dated later than this try may be of one that came after it and was judged before; further ahead, it is of a
clock that was wrong."""
PURGED_AT_ONCE = 50
_OLD = select(FAILED.c.id).where(FAILED.c.at <= bindparam("until")).order_by(FAILED.c.at).limit(PURGED_AT_ONCE)
_PURGE = delete(FAILED).where(FAILED.c.id.in_(_OLD.with_for_update(skip_locked=True)))
_COUNT = insert(FAILED).values({name: bindparam(name) for name in ("account", "address", "at")})
_FORGET = delete(KNOWN).where(KNOWN.c.user_id == bindparam("person"), KNOWN.c.last_login_at <= bindparam("until"))


class LoginLimitReached(TooMany):
    code = "login_limit_reached"
    title = "Too many failed logins"
    is_recorded = True


def check_address(session: Session, user_id: int | None, address: str, *, at: datetime) -> None:
    """Raises LoginLimitReached while too many logins from the address were wrong, whosever they were; but for those who
    logged in from there before: one of them can't close it to the rest of an office."""
    network = network_of(address)
    spent = _spent(OF_ADDRESS, FAILED.c.address == network, at=at)
    used_up, is_known = session.execute(select(spent, _is_known(user_id, network, at=at))).one()
    if used_up is not None and not is_known:
        raise _refusal(OF_ADDRESS, used_up, at=at)


def refusal(
    session: Session, email: str, user_id: int | None, address: str, *, at: datetime
) -> LoginLimitReached | None:
    """Why this try, be it right or wrong, is one too many; None where it isn't.

    From here to the commit, no other try for the account or from the address goes on: of a hundred at once, not one
    more is let through than of a hundred in a row. One statement asks for all, whoever it is: the clock tells nothing.
    """
    network, account = network_of(address), account_key(session, email)
    _lock(session, network, account)
    here, theirs = FAILED.c.address == network, FAILED.c.account == account
    of_pair, of_address, of_account, is_known = session.execute(
        select(
            _spent(OF_PAIR, here, theirs, at=at),
            _spent(OF_ADDRESS, here, at=at),
            _spent(OF_ACCOUNT, theirs, at=at),
            _is_known(user_id, network, at=at),
        )
    ).one()
    if of_pair is not None:
        return _refusal(OF_PAIR, of_pair, at=at)
    if of_address is not None and not is_known:
        return _refusal(OF_ADDRESS, of_address, at=at)
    if of_account is not None and not is_known:
        return _refusal(OF_ACCOUNT, of_account, at=at)
    return None


def count(session: Session, email: str, address: str, *, at: datetime) -> None:
    """Count a wrong login, and let go of a few that are too old to count."""
    row = {"account": account_key(session, email), "address": network_of(address), "at": at}
    session.execute(_COUNT, row)
    session.execute(_PURGE, {"until": at - _window(OF_ACCOUNT)})


def remember(session: Session, user_id: int, address: str, *, at: datetime) -> None:
    """Note that a person logged in from the address, and forget from where they didn't for long."""
    row = {"user_id": user_id, "address": network_of(address), "last_login_at": at}
    known = upsert(KNOWN).values(row)
    session.execute(known.on_conflict_do_update(index_elements=["user_id", "address"], set_={"last_login_at": at}))
    session.execute(_FORGET, {"person": user_id, "until": at - KNOWN_FOR})


def account_key(session: Session, email: str) -> str:
    """A keyed digest of what was typed as e-mail: people type passwords there."""
    key = b"login:" + session.keyring.signing_key.encode()
    return hmac.new(key, text_key(email).encode(), hashlib.sha256).hexdigest()


def _spent(policy: Policy, *which: ColumnElement[bool], at: datetime) -> ScalarSelect[datetime]:
    """When the wrong login was that makes the newest ones a quota's worth; null where there is room for another."""
    within = (FAILED.c.at > at - _window(policy), FAILED.c.at <= at + CLOCK_SLACK)
    newest = select(FAILED.c.at).where(*which, *within).order_by(FAILED.c.at.desc())
    return newest.offset(policy.quota - 1).limit(1).scalar_subquery()


def _is_known(user_id: int | None, network: str, *, at: datetime) -> ColumnElement[bool]:
    known = (KNOWN.c.user_id == (user_id or 0), KNOWN.c.address == network, KNOWN.c.last_login_at > at - KNOWN_FOR)
    return select(KNOWN.c.user_id).where(*known).exists()


def _refusal(policy: Policy, used_up: datetime, *, at: datetime) -> LoginLimitReached:
    """A try is allowed again when that wrong login leaves the window."""
    seconds = int((used_up + _window(policy) - at).total_seconds())
    detail = "Too many logins failed. Wait, or log in from where you did before."
    return LoginLimitReached(detail, policy=policy, retry_after_seconds=max(1, seconds))


def _window(policy: Policy) -> timedelta:
    return timedelta(seconds=policy.window_seconds)


def _lock(session: Session, network: str, account: str) -> None:
    """The address first, then the account, always: who waits in this order can't wait in a circle."""
    session.lock_keys(network, account)

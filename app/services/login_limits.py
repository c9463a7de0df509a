"""How often a login may be wrong: counted in the database, for all workers together and over a restart.

10 wrong ones in 5 minutes for an account from an address, 100 in 5 minutes from an address, 100 an hour for an account;
beyond the last two, only who logged in from the address before may try. What is typed for an account that
doesn't exist counts like any other: the limit tells nobody who works here. A refused try isn't counted, so nobody is
locked out for longer by knocking.
"""

import hashlib
import hmac
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.core.addresses import network_of
from app.core.db import Session
from app.core.errors import Policy, TooMany
from app.core.text import text_key
from app.models.login_attempt import FailedLogin, KnownAddress
from app.models.types import Instant, table_of

FAILED, KNOWN = table_of(FailedLogin), table_of(KnownAddress)
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
_LOCK = text("SELECT pg_advisory_xact_lock(:first), pg_advisory_xact_lock(:second)")


class LoginLimitReached(TooMany):
    code = "login_limit_reached"
    title = "Too many logins failed"
    is_recorded = True


def check_address(session: Session, user_id: int | None, address: str, *, at: datetime) -> None:
    """Raises LoginLimitReached while too many logins from the address were wrong, whosever they were; but for those who
    logged in from there before: one of them can't close it to the rest of an office."""
    network = network_of(address)
    reached = _reached(session, OF_ADDRESS, FAILED.c.address == network, at=at)
    if reached and not _is_known(session, user_id, network, at=at):
        raise reached


def check(session: Session, email: str, user_id: int | None, address: str, *, at: datetime) -> None:
    """Raises LoginLimitReached where `refusal` has one."""
    if reached := refusal(session, email, user_id, address, at=at):
        raise reached


def refusal(
    session: Session, email: str, user_id: int | None, address: str, *, at: datetime
) -> LoginLimitReached | None:
    """Why this try, be it right or wrong, is one too many; None where it isn't.

    From here to the commit, no other try for the account or from the address goes on: of a hundred at once, not one
    more is let through than of a hundred in a row.
    """
    network, account = network_of(address), account_key(session, email)
    _lock(session, network, account)
    here, theirs = FAILED.c.address == network, FAILED.c.account == account
    # All are asked, whoever it is: one statement less would tell by the clock who works here.
    is_known = _is_known(session, user_id, network, at=at)
    of_address = _reached(session, OF_ADDRESS, here, at=at)
    of_pair = _reached(session, OF_PAIR, here, theirs, at=at)
    of_account = _reached(session, OF_ACCOUNT, theirs, at=at)
    return of_pair or (None if is_known else of_address or of_account)


def count(session: Session, email: str, address: str, *, at: datetime) -> None:
    """Count a wrong login, and let go of a few that are too old to count."""
    row = {"account": account_key(session, email), "address": network_of(address), "at": at}
    session.write_soon(_COUNT, row)
    session.write_soon(_PURGE, {"until": at - timedelta(seconds=OF_ACCOUNT.window_seconds)})


def remember(session: Session, user_id: int, address: str, *, at: datetime) -> None:
    """Note that a person logged in from the address."""
    make = sqlite_insert if session.settings.is_sqlite else postgresql_insert
    row = {"user_id": user_id, "address": network_of(address), "last_login_at": at}
    session.execute(
        make(KNOWN).values(row).on_conflict_do_update(index_elements=["user_id", "address"], set_={"last_login_at": at})
    )
    session.execute(delete(KNOWN).where(KNOWN.c.user_id == user_id, KNOWN.c.last_login_at <= at - KNOWN_FOR))


def account_key(session: Session, email: str) -> str:
    """A keyed digest of what was typed as e-mail: people type passwords there."""
    key = b"login:" + session.settings.signing_key.encode()
    return hmac.new(key, text_key(email).encode(), hashlib.sha256).hexdigest()


def _reached(session: Session, policy: Policy, *which: ColumnElement[bool], at: datetime) -> LoginLimitReached | None:
    since = at - timedelta(seconds=policy.window_seconds)
    # The quota's worth of the newest: a try is allowed again when the oldest of them leaves the window.
    within = (*which, FAILED.c.at > since, FAILED.c.at <= at + CLOCK_SLACK)
    found = select(FAILED.c.at).where(*within).order_by(FAILED.c.at.desc()).limit(policy.quota).subquery()
    counted = select(func.count(), func.min(found.c.at, type_=Instant())).select_from(found)
    number, oldest = session.execute(counted).one()
    if number < policy.quota:
        return None
    return LoginLimitReached(
        "Too many logins failed. Wait, or log in from where you did before.",
        policy=policy,
        retry_after_seconds=max(1, int((oldest - since).total_seconds())),
    )


def _is_known(session: Session, user_id: int | None, network: str, *, at: datetime) -> bool:
    known = select(KNOWN.c.user_id).where(
        KNOWN.c.user_id == (user_id or 0), KNOWN.c.address == network, KNOWN.c.last_login_at > at - KNOWN_FOR
    )
    return session.execute(known).first() is not None


def _lock(session: Session, network: str, account: str) -> None:
    """The address first, then the account, always: who waits in this order can't wait in a circle."""
    if not session.settings.is_sqlite:  # there a writing transaction holds the whole file
        numbers = (
            int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True) for name in (network, account)
        )
        session.execute(_LOCK, dict(zip(("first", "second"), numbers, strict=True)))

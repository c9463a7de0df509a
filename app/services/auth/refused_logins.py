"""Refused logins, counted for each account, and the audit events that take over the counts.

Anybody can make logins fail, and an event can never be deleted. So an account gets at most one event in an hour, with
the counts since the last one. All e-mails that belong to no user count as one account. The first refused login is
recorded at once.

A count is incremented in the transaction of the refused login. It moves into an event in one transaction that locks its
row, so a crash loses no count and no two worker processes record the same one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import Insert

from app.core.database.column_types import Instant
from app.core.database.dialect import upsert
from app.core.database.session import Session
from app.core.errors import DomainError
from app.models.tables import REFUSED_LOGIN
from app.services.access import locks
from app.services.audit import recorder
from app.services.audit.recorder import ORGANISATION_CHAIN
from app.services.auth.errors import CodeWrong, LoginRefused, OtpRequired, OtpWrong, PasswordWrong, SecondFactorLocked
from app.services.auth.login_throttle import LoginLimitReached

RECORDING_INTERVAL = timedelta(hours=1)
BATCH_SIZE = 20
_COLUMNS: dict[type[DomainError], str] = {
    LoginRefused: "wrong_passwords",
    PasswordWrong: "wrong_passwords",
    OtpRequired: "missing_codes",
    OtpWrong: "rejected_codes",
    CodeWrong: "rejected_codes",
    SecondFactorLocked: "rejected_codes",
    LoginLimitReached: "over_limit",
}
_ZEROS = dict.fromkeys(_COLUMNS.values(), 0)


def _increment(column: str) -> Insert:
    at = bindparam("refused_at", type_=Instant())
    row = _ZEROS | {"chain_id": bindparam("account_id"), "due_at": at, "first_at": at, "last_at": at, column: 1}
    statement = upsert(REFUSED_LOGIN).values(row)
    counted = REFUSED_LOGIN.c
    changes = {
        column: counted[column] + 1,
        "first_at": func.coalesce(counted.first_at, statement.excluded.first_at),
        "last_at": statement.excluded.last_at,
    }
    return statement.on_conflict_do_update(index_elements=["chain_id"], set_=changes)


_INCREMENTS = {column: _increment(column) for column in _ZEROS}


@contextmanager
def count_refusal(session: Session, user_id: int | None, *, at: datetime) -> Iterator[None]:
    """Count an error that refuses a login of this user, or of an unknown e-mail, in this block.

    The statement is the same for every account. It is sent with COMMIT, so that logins hardly wait for each other's
    lock on the row of unknown e-mails.
    """
    session.info["login_attempted"] = True
    try:
        yield
    except DomainError as error:
        if (column := _COLUMNS.get(type(error))) is not None:
            params = {"account_id": user_id or ORGANISATION_CHAIN, "refused_at": at}
            session.execute_later(_INCREMENTS[column], params)
        raise


def had_attempt(session: Session) -> bool:
    """Return True if a login was attempted in this transaction. Then `record_due` should run after it."""
    return bool(session.info.get("login_attempted"))


def record_due(session: Session, *, at: datetime) -> None:
    """Record up to BATCH_SIZE counts that are due, one event for each account.

    It runs after every login in a transaction of its own. So the response does not wait for it, and users are locked in
    ascending order. A user whose row is locked is left for the next login. Otherwise, that user's long request would
    make the others in the batch wait.
    """
    is_due = REFUSED_LOGIN.c.due_at <= at
    due = select(REFUSED_LOGIN.c.chain_id).where(is_due).order_by(REFUSED_LOGIN.c.due_at).limit(BATCH_SIZE)
    chain_ids = session.scalars(due).all()
    if not chain_ids:
        return
    locked_ids = {ORGANISATION_CHAIN, *locks.lock_users_skip_locked(session, chain_ids)}
    locked = select(REFUSED_LOGIN).where(REFUSED_LOGIN.c.chain_id.in_(locked_ids.intersection(chain_ids)), is_due)
    for row in session.execute(locked.order_by(REFUSED_LOGIN.c.chain_id).with_for_update()).all():
        same_account = REFUSED_LOGIN.c.chain_id == row.chain_id
        if row.first_at is None:
            session.execute(delete(REFUSED_LOGIN).where(same_account))
            continue
        _record(session, row, at=at)
        emptied = _ZEROS | {"first_at": None, "last_at": None, "due_at": at + RECORDING_INTERVAL}
        session.execute(update(REFUSED_LOGIN).where(same_account).values(emptied))


def record_all(session: Session, user_id: int, *, at: datetime) -> None:
    """Record what is counted for a locked user now, and delete the row."""
    statement = delete(REFUSED_LOGIN).where(REFUSED_LOGIN.c.chain_id == user_id).returning(*REFUSED_LOGIN.c)
    row = session.execute(statement).one_or_none()
    if row is not None and row.first_at is not None:
        _record(session, row, at=at)


def _record(session: Session, row: Row[Any], *, at: datetime) -> None:
    counts = {name: count for name in _ZEROS if (count := getattr(row, name))}
    fields = {"first_at": row.first_at, "last_at": row.last_at} | counts
    recorder.record(session, "login:refuse", at=at, actor_id=None, subject_id=row.chain_id or None, after=fields)

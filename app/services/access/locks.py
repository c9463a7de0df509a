"""Locks on users. Every write locks the affected user first, then reads, then writes.

The order is: the user rules, then users by ascending id, then everything else. An admin's change of users holds the
lock on the user rules alone. So it may lock the admin first and then the user, whatever their ids.
"""

from collections.abc import Iterable

from sqlalchemy import select

from app.core.database.execution_options import SEND_FIRST, Statements
from app.core.database.postgresql.operations import key_lock
from app.core.database.session import DatabaseUnavailable, Session
from app.models.tables import NAMED_LOCK, USER
from app.models.users import User
from app.services.access.errors import UserNotFound

RULES_ROW = "people"
"""The row of `global_lock` that `lock_user_rules` locks. A migration inserts it."""
_RULES_KEY = "user rules"
_LOCK_USERS = 'SELECT id FROM "user" WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE'
ROW_WAIT_MS = 200
"""Time for which a holder of the user rules waits for a row. Meanwhile, corrections for other users wait too."""
_LOCK_RULES, _SHARE_RULES = key_lock(_RULES_KEY), key_lock(_RULES_KEY, shared=True)


def lock_users(session: Session, *user_ids: int) -> list[User]:
    """Lock the users' rows and return their current state, ordered by id.

    Rows are locked in ascending order of id, so that two writers cannot deadlock. Raises UserNotFound if a user does
    not exist. On SQLite, a writing transaction already holds the lock of the database file.
    """
    ids = sorted(set(user_ids))
    users = session.scalars(
        select(User)
        .where(User.id.in_(ids))  # type: ignore[union-attr]
        .order_by(User.id)  # type: ignore[arg-type]
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()
    if len(users) != len(ids):
        raise UserNotFound("There is no user with this id.")
    return list(users)


def lock_users_skip_locked(session: Session, user_ids: Iterable[int]) -> list[int]:
    """Lock the users' rows, except those that another transaction has locked, and return the ids of the locked ones."""
    users = select(USER.c.id).where(USER.c.id.in_(user_ids)).order_by(USER.c.id)
    return list(session.scalars(users.with_for_update(key_share=True, skip_locked=True)))


def user_lock_options(*user_ids: int) -> dict[str, Statements]:
    """Return execution options that lock the users' rows before the statement, sent together with it.

    The lock is a separate statement. The statement after it takes its snapshot when the lock is granted, so it sees
    what the previous lock holder committed. FOR UPDATE in the reading statement would join the current user row with
    outdated entries. On SQLite, a writing transaction already holds the lock of the database file.

    Several users are locked together with the user rules, which others may share. So until the commit no role, active
    flag or manager changes, also not that of a manager between two of them. A change by a worker of version 0.9 is not
    held back, because that version has no shared lock.
    """
    ids = sorted(set(user_ids))
    lock = (_LOCK_USERS, {"ids": ids})
    return {SEND_FIRST: [_SHARE_RULES, lock] if len(ids) > 1 else [lock]}


def lock_user_rules(session: Session) -> None:
    """Lock all changes of role, active flag and manager, because their rules concern several users at once.

    It is an advisory lock, because a row that others share again and again is never granted to an exclusive request.
    The row is locked after it, for workers of version 0.9, which lock nothing else.

    Behind it, the transaction waits for each lock for ROW_WAIT_MS only. A user's bulk request holds the user's row for
    seconds, and nobody else could be corrected until then. After the timeout the transaction is rolled back, which
    releases the user rules, and retried (`run_with_retry`).

    Raises DatabaseUnavailable if somebody deleted the row, because the statement would lock nothing then.
    """
    row = select(NAMED_LOCK.c.name).where(NAMED_LOCK.c.name == RULES_ROW).with_for_update()
    if session.execute(row, execution_options={SEND_FIRST: [_LOCK_RULES]}).one_or_none() is None:
        raise DatabaseUnavailable(
            f"The row {RULES_ROW} of global_lock is missing. Ask the operator to insert it again."
        )
    session.set_lock_timeout(ROW_WAIT_MS)

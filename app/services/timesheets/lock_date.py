"""The lock date: entries that start before it are closed to everybody, admins included."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Row, select, update

from app.core.database.session import Session
from app.models.tables import PAYROLL_LOCK
from app.models.timesheets import ENTRIES_LOCK
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.period_locks import lock_date_missing, lock_rules
from app.services.timesheets.errors import LockChanged, LockInFuture

_LAST_ZONE = timezone(timedelta(hours=-12))
"""The zone in which a day begins last."""
_QUERY = select(PAYROLL_LOCK).where(PAYROLL_LOCK.c.name == ENTRIES_LOCK)


def get(session: Session, _actor: Actor) -> Row[Any]:
    """Return the lock date, which is None until an admin sets it."""
    return _read(session)


def move(
    session: Session,
    actor: Actor,
    before_day: date | None,
    *,
    reason: str,
    versions: frozenset[int] | None,
    at: datetime,
) -> Row[Any]:
    """Set the lock date, forward or back, or remove it.

    Raises LockChanged. Raises LockInFuture for a day that has not begun everywhere on earth, because somebody's present
    day would be locked.
    """
    latest = at.astimezone(UTC).astimezone(_LAST_ZONE).date()
    if before_day is not None and before_day > latest:
        raise LockInFuture(f"Some users may still work on the day before. Choose {latest} or an earlier day.")
    present = _read(session, **lock_rules())
    if versions is not None and present.version not in versions:
        raise LockChanged(
            "The lock date has changed since you read it. Read it again, then send its current version.",
            version=present.version,
        )
    if before_day == present.before_day:
        return present
    version = present.version + 1
    changes = {"before_day": before_day, "version": version, "changed_at": at, "changed_by": actor.id}
    session.execute(update(PAYROLL_LOCK).where(PAYROLL_LOCK.c.name == ENTRIES_LOCK).values(changes))
    recorder.record(
        session,
        "payroll_lock:move",
        at=at,
        actor_id=actor.id,
        before={name: getattr(present, name) for name in changes},
        after=changes,
        reason=reason,
    )
    return _read(session)


def _read(session: Session, **options: Any) -> Row[Any]:
    row = session.execute(_QUERY, execution_options=options).one_or_none()
    if row is None:
        raise lock_date_missing()
    return row

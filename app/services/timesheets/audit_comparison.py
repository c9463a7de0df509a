"""Comparison of a timesheet with the audit log: the chain of one user, and the entries that differ from it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

from app.core.database.session import Session
from app.core.time.zones import day_start_epoch
from app.models.tables import USER
from app.services.audit import verification
from app.services.audit.reconciliation import Reconciliation
from app.services.audit.recorder import Fields
from app.services.audit.replay_effects import ObjectKey
from app.services.audit.stored_rows import AuditChainBroken
from app.services.calendar.periods import Period

MAX_COMPARED_EVENTS = 50_000
"""Limit on the events of one user that a timesheet is compared with. Verifying them takes seconds of one core."""
_DAY = timedelta(days=1)


class AuditState(Enum):
    compared = "compared"
    unverified = "unverified"
    """A link of the user's chain is missing or changed, or a row cannot be read."""
    not_compared = "not compared"
    """The user has more than MAX_COMPARED_EVENTS events."""


@dataclass(slots=True)
class AuditComparison:
    """The result for one user and period. `days` are those of entries that differ, and `user` the user's own row."""

    state: AuditState = AuditState.compared
    days: set[date] = field(default_factory=set)
    user_differs: bool = False

    @property
    def agrees(self) -> bool:
        """Return True if everything was compared and nothing differs."""
        return self.state is AuditState.compared and not self.days and not self.user_differs

    def __str__(self) -> str:
        """Say how the audit log compares with the timesheet. The employee and the manager sign under it."""
        if self.state is AuditState.not_compared:
            return "not compared with this timesheet, because it has too many events"
        if self.state is AuditState.unverified:
            return "cannot be verified. Do not sign. Tell your admin."
        if self.agrees:
            return "agrees with this timesheet"
        differing = ["the data of the employee"] if self.user_differs else []
        differing += [f"{len(self.days)} of its days"] if self.days else []
        return f"differs from this timesheet in {' and '.join(differing)}. Do not sign. Tell your admin."


def compare_with_audit_log(
    session: Session, user_id: int, period: Period, *, chain_length: int, max_events: int = MAX_COMPARED_EVENTS
) -> AuditComparison:
    """Compare the user and their entries with the audit log, in the snapshot of this transaction.

    A day differs if an entry that SQL added, changed or deleted touches it, as it is or as the events describe it.
    """
    if chain_length > max_events:
        return AuditComparison(AuditState.not_compared)
    found = AuditComparison()

    def note_fault(key: ObjectKey, state: Fields, row: Fields) -> None:
        if key[0] == USER.name:
            found.user_differs = True
        else:
            found.days.update(day for version in (state, row) for day in _touched_days(version, period))

    try:
        with closing(Reconciliation(session, user_id=user_id, on_fault=note_fault)) as reconciliation:
            verification.verify_user(session, user_id, reconciliation)
    except AuditChainBroken:
        found.state = AuditState.unverified
    return found


def _touched_days(entry: Fields, period: Period) -> Iterator[date]:
    """Yield the days of the period that an entry touches, with any part of its values. An open one touches all later.

    `entry` has the values of a row, or those of events, where instants are text.
    """
    start, end = (_second(entry.get(name)) for name in ("start_time", "end_time"))
    if start is None:
        return
    zone = period.zone or str(entry.get("time_zone", "UTC"))
    day = period.start
    while day <= period.end:
        lower, upper = day_start_epoch(day, zone), day_start_epoch(day + _DAY, zone)
        if start < upper and (end is None or end > lower or start >= lower):
            yield day
        day += _DAY


def _second(value: Any) -> int | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return int(value.astimezone(UTC).timestamp()) if isinstance(value, datetime) else None

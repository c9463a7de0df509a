"""The record: one event per change, in the transaction of the change. The table refuses UPDATE, DELETE and TRUNCATE."""

from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

from sqlalchemy import insert

from app.core.db import Session
from app.models.audit_event import AuditEvent
from app.models.types import table_of

_INSERT = insert(table_of(AuditEvent))
Facts = dict[str, Any]


def record(
    session: Session,
    action: str,
    *,
    at: datetime,
    actor_id: int | None,
    subject_id: int | None = None,
    object_id: int | None = None,
    before: Facts | None = None,
    after: Facts | None = None,
    reason: str | None = None,
) -> None:
    """Write the event. `action` is `<object>:<verb>`; `subject_id` is the person it concerns; facts hold no secrets."""
    session.execute(
        _INSERT,
        {
            "at": at,
            "action": action,
            "actor_id": actor_id,
            "subject_id": subject_id,
            "object_type": action.partition(":")[0],
            "object_id": object_id,
            "before": _plain(before),
            "after": _plain(after),
            "reason": reason,
            "request_id": session.request_id,
        },
    )


def changes(before: Facts, after: Facts) -> tuple[Facts, Facts]:
    """Of two snapshots, what differs."""
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}


def _plain(facts: Facts | None) -> Facts | None:
    """Facts as JSON has them: instants in UTC with Z, enums by value."""
    return None if facts is None else {name: _plain_value(value) for name, value in facts.items()}


def _plain_value(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case Enum():
            return value.value
        case date():
            return value.isoformat()
        case _:
            return value

"""Audit events and the history of an entry."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from app.schemas.types import EntryId, Id, ResponseModel, UtcInstant

FieldValues = Annotated[
    dict[str, Any] | None,
    WithJsonSchema(
        {"anyOf": [{"type": "object", "additionalProperties": True, "maxProperties": 50}, {"type": "null"}]}
    ),
    Field(description="Values by field name. An erased personal value is null."),
]
ReasonRead = Annotated[str | None, Field(max_length=500)]
RequestId = Annotated[str, Field(max_length=64)]
AuditAction = Annotated[str, Field(max_length=64, examples=["time_entry:change"])]


class ActorRead(ResponseModel):
    id: Id
    first_name: Annotated[str, Field(max_length=100)]
    last_name: Annotated[str, Field(max_length=100)]


class TimeEntryHistoryItem(ResponseModel):
    """One change of an entry."""

    at: UtcInstant
    actor: Annotated[ActorRead | None, Field(description="Null for an event from the command line.")]
    action: AuditAction
    before: FieldValues
    after: FieldValues
    reason: ReasonRead
    request_id: RequestId


class TimesheetHistoryItem(TimeEntryHistoryItem):
    """One action on a timesheet."""


class AuditEventRead(TimeEntryHistoryItem):
    """One audit event. `subject_id` is the user it concerns, and `position` its place in that user's chain."""

    subject_id: Id | None
    position: Annotated[int, Field(ge=1, le=2**53)]
    object_type: Annotated[str, Field(max_length=32, examples=["time_entry"])]
    object_id: EntryId | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Filters of a list of audit events. None means any value."""

    subject_id: int | None = None
    actor_id: int | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: int | None = None


ObjectTypeFilter = Annotated[str, Field(min_length=1, max_length=32, pattern="^[a-z_]+$", examples=["time_entry"])]
ActionFilter = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-z_]+:[a-z_]+$", examples=["user:change"])]

"""Manual entries and corrections, one at a time or in bulk."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, WithJsonSchema
from typing_extensions import TypeAliasType

from app.schemas.time_entries.entry import TimeEntryRead
from app.schemas.types import MAX_ID, Description, EntryId, Id, InputInstant, Reason, RequestModel, ResponseModel
from app.schemas.users.user import PatchModel

MAX_OPERATIONS = 500

EndTime = Annotated[InputInstant, Field(examples=["2026-03-02T12:00:00Z"])]
ReasonField = Annotated[
    Reason, Field(description="Required for an entry of another user, and to change the times of an entry.")
]


def _require_false(flag: bool) -> bool:
    if flag:
        raise ValueError("Only the server flags entries. Send false to mark the entry as reviewed.")
    return flag


ReviewedFlag = Annotated[
    StrictBool,
    AfterValidator(_require_false),
    WithJsonSchema({"type": "boolean", "const": False, "examples": [False]}),
]


class TimeEntryCreate(RequestModel):
    """Time that was worked but not clocked. Managers and admins may send `user_id`, which requires `reason`."""

    project_id: Id
    start_time: InputInstant
    end_time: EndTime
    description: Description = ""
    user_id: Annotated[Id | None, Field(description="User of the entry. If omitted, you.")] = None
    reason: ReasonField | None = None


class TimeEntryUpdate(PatchModel):
    """A correction. Omitted fields keep their values. `needs_review: false` marks the entry as reviewed."""

    project_id: Id | None = None
    start_time: InputInstant | None = None
    end_time: EndTime | None = None
    description: Description | None = None
    needs_review: ReviewedFlag | None = None
    reason: ReasonField | None = None


Version = Annotated[
    int, Field(ge=1, le=MAX_ID, description="Reject the operation if the entry has another version.", examples=[1])
]


class BulkCreate(TimeEntryCreate):
    action: Literal["create"]


class BulkChange(TimeEntryUpdate):
    action: Literal["change"]
    id: EntryId
    version: Version | None = None


class BulkDelete(RequestModel):
    action: Literal["delete"]
    id: EntryId
    version: Version | None = None
    reason: Reason


# A named type has a component of its own in the OpenAPI document, and so the same name in every generated client.
BulkOperation = TypeAliasType(
    "BulkOperation",
    Annotated[BulkCreate | BulkChange | BulkDelete, Field(discriminator="action", title="BulkOperation")],
)


def _require_distinct_ids(operations: list[BulkCreate | BulkChange | BulkDelete]) -> list[Any]:
    """Reject a second operation on the same entry, because a short request could then have a very long response."""
    counts = Counter(each.id for each in operations if not isinstance(each, BulkCreate))
    if repeated := next((entry_id for entry_id, count in counts.items() if count > 1), None):
        raise ValueError(f"Entry {repeated} is in more than one operation. Send one operation for each entry.")
    return operations


class BulkRequest(RequestModel):
    operations: Annotated[
        list[BulkOperation],
        Field(
            min_length=1,
            max_length=MAX_OPERATIONS,
            description="They are applied in this order, all or none. An entry may occur in one operation only.",
            examples=[
                [
                    {
                        "action": "create",
                        "project_id": 1,
                        "start_time": "2026-03-03T08:00:00Z",
                        "end_time": "2026-03-03T12:00:00Z",
                    }
                ]
            ],
        ),
        AfterValidator(_require_distinct_ids),
    ]


class BulkOperationResult(ResponseModel):
    action: Literal["create", "change", "delete"]
    id: EntryId
    entry: Annotated[
        TimeEntryRead | None, Field(description="The changed entry. Null if it was deleted, or if nothing changed.")
    ]


class BulkResponse(ResponseModel):
    results: Annotated[list[BulkOperationResult], Field(description="In the order of the operations.")]

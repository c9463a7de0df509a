"""Entries written and corrected by hand, one by one or many at once."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, WithJsonSchema

from app.schemas.time_entries.entry import TimeEntryRead
from app.schemas.types import MAX_ID, Description, EntryId, Id, InputInstant, Reason, RequestModel, ResponseModel
from app.schemas.users.user import PatchModel

MAX_OPERATIONS = 500

EndTime = Annotated[InputInstant, Field(examples=["2026-03-02T12:00:00Z"])]
ReasonField = Annotated[
    Reason, Field(description="Needed for somebody else's entry, and for a change of recorded times.")
]


def _require_false(flag: bool) -> bool:
    if flag:
        raise ValueError("Send false, to say that it needs no review; only the service flags entries.")
    return flag


ReviewedFlag = Annotated[
    StrictBool,
    AfterValidator(_require_false),
    WithJsonSchema({"type": "boolean", "const": False, "examples": [False]}),
]


class TimeEntryCreate(RequestModel):
    """Time worked that the clock doesn't know of; `user_id` is for managers and admins, who then say why."""

    project_id: Id
    start_time: InputInstant
    end_time: EndTime
    description: Description = ""
    user_id: Annotated[Id | None, Field(description="Whose time it was; yours if left out.")] = None
    reason: ReasonField | None = None


class TimeEntryUpdate(PatchModel):
    """A correction: what is left out stays. `needs_review: false` says that the entry is right as it stands."""

    project_id: Id | None = None
    start_time: InputInstant | None = None
    end_time: EndTime | None = None
    description: Description | None = None
    needs_review: ReviewedFlag | None = None
    reason: ReasonField | None = None


Version = Annotated[int, Field(ge=1, le=MAX_ID, description="Only if this is still its version.", examples=[1])]


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


BulkOperation = Annotated[BulkCreate | BulkChange | BulkDelete, Field(discriminator="action")]


class BulkRequest(RequestModel):
    operations: Annotated[
        list[BulkOperation],
        Field(
            min_length=1,
            max_length=MAX_OPERATIONS,
            description="Done in this order, all or none.",
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
    ]


class BulkOperationResult(ResponseModel):
    action: Literal["create", "change", "delete"]
    id: EntryId
    entry: Annotated[TimeEntryRead | None, Field(description="As it is now; null when it was deleted.")]


class BulkResponse(ResponseModel):
    results: Annotated[list[BulkOperationResult], Field(description="In the order of the operations.")]

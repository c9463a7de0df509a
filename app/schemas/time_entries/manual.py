"""Entries written and corrected by hand, one by one or many at once."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, WithJsonSchema

from app.schemas.time_entries.entry import TimeEntryRead
from app.schemas.types import MAX_ID, Answer, Body, Description, EntryId, Id, Reason, SentTime
from app.schemas.users.user import Changes

MAX_OPERATIONS = 500

EndTime = Annotated[SentTime, Field(examples=["2026-03-02T12:00:00Z"])]
Why = Annotated[Reason, Field(description="Needed for somebody else's entry, and for a change of recorded times.")]


def _only_false(flag: bool) -> bool:
    if flag:
        raise ValueError("Send false, to say that it needs no review; only the service flags entries.")
    return flag


Confirmed = Annotated[
    StrictBool,
    AfterValidator(_only_false),
    WithJsonSchema({"type": "boolean", "const": False, "examples": [False]}),
]


class EntryCreate(Body):
    """Time worked that the clock doesn't know of; `user_id` is for managers and admins, who then say why."""

    project_id: Id
    start_time: SentTime
    end_time: EndTime
    description: Description = ""
    user_id: Annotated[Id | None, Field(description="Whose time it was; yours if left out.")] = None
    reason: Why | None = None


class EntryUpdate(Changes):
    """A correction: what is left out stays. `needs_review: false` says that the entry is right as it stands."""

    project_id: Id | None = None
    start_time: SentTime | None = None
    end_time: EndTime | None = None
    description: Description | None = None
    needs_review: Confirmed | None = None
    reason: Why | None = None


Version = Annotated[int, Field(ge=1, le=MAX_ID, description="Only if this is still its version.", examples=[1])]


class BulkCreate(EntryCreate):
    action: Literal["create"]


class BulkChange(EntryUpdate):
    action: Literal["change"]
    id: EntryId
    version: Version | None = None


class BulkDelete(Body):
    action: Literal["delete"]
    id: EntryId
    version: Version | None = None
    reason: Reason


Operation = Annotated[BulkCreate | BulkChange | BulkDelete, Field(discriminator="action")]


class Bulk(Body):
    operations: Annotated[
        list[Operation],
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


class BulkResult(Answer):
    action: Literal["create", "change", "delete"]
    id: EntryId
    entry: Annotated[TimeEntryRead | None, Field(description="As it is now; null when it was deleted.")]


class BulkAnswer(Answer):
    results: Annotated[list[BulkResult], Field(description="In the order of the operations.")]

"""The to-do list over the hours in sight."""

from typing import Annotated

from pydantic import Field

from app.schemas.timesheets.timesheet import PersonName, TimesheetRead
from app.schemas.types import EntryId, Id, ProjectNameRead, ResponseModel, UtcInstant

MAX_ITEMS = 200
Total = Annotated[int, Field(ge=0, le=2**53, description="Number of all, also beyond the 200 of the list.")]


class TodoEntry(ResponseModel):
    entry_id: EntryId
    user_id: Id
    user_name: PersonName
    project_id: Id
    project_name: ProjectNameRead
    start_time: UtcInstant
    end_time: Annotated[UtcInstant | None, Field(description="Null while the entry is open.")]
    time_zone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]


class Todo(ResponseModel):
    """Four lists, each with at most 200 items, the oldest first."""

    as_of: UtcInstant
    running_long: Annotated[
        list[TodoEntry], Field(max_length=MAX_ITEMS, description="Entries that are open for over STALE_ENTRY_HOURS.")
    ]
    running_long_total: Total
    to_review: Annotated[
        list[TodoEntry], Field(max_length=MAX_ITEMS, description="Closed entries that are flagged for review.")
    ]
    to_review_total: Total
    to_submit: Annotated[
        list[TimesheetRead],
        Field(
            max_length=MAX_ITEMS,
            description="Periods with entries that are over and not submitted, of the last 400 days.",
        ),
    ]
    to_submit_total: Total
    to_decide: Annotated[
        list[TimesheetRead], Field(max_length=MAX_ITEMS, description="Submitted timesheets that you decide on.")
    ]
    to_decide_total: Total

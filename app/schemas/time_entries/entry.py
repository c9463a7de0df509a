"""Entries."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from app.schemas.projects import ProjectRead
from app.schemas.types import DescriptionRead, EntryId, Id, ResponseModel, UtcInstant


class TimeEntryRead(ResponseModel):
    id: EntryId
    user_id: Id
    project_id: Id
    start_time: UtcInstant
    end_time: Annotated[
        UtcInstant | None, Field(description="Null while the entry is open.", examples=["2026-03-02T12:00:00Z"])
    ]
    description: DescriptionRead
    time_zone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]
    needs_review: Annotated[
        bool,
        Field(
            description="True if the entry is or was open for longer than STALE_ENTRY_HOURS and was not reviewed.",
            examples=[False],
        ),
    ]
    version: Annotated[
        int, Field(ge=1, le=2**31 - 1, description="Number of the state of the entry, for If-Match.", examples=[2])
    ]
    created_at: UtcInstant
    updated_at: Annotated[UtcInstant, Field(examples=["2026-03-02T12:00:00Z"])]
    timesheet_id: Annotated[
        Id | None,
        Field(description="Set while the entry is in a submitted or approved timesheet, and so cannot be changed."),
    ] = None


class TimeEntryWithProject(TimeEntryRead):
    project: ProjectRead


EntryAction = Literal["change", "delete"]


class TimeEntryWithActions(TimeEntryWithProject):
    can: Annotated[
        list[EntryAction] | None,
        Field(max_length=2, description="Actions that you may take now. Null in a list without `can=true`."),
    ] = None


_ENTRY_LIST = TypeAdapter(list[TimeEntryWithProject])
_LIST_WITH_ACTIONS = TypeAdapter(list[TimeEntryWithActions])


def dump_entries(entries: list[TimeEntryWithProject]) -> bytes:
    return _ENTRY_LIST.dump_json(entries)


def dump_entries_with_actions(entries: list[TimeEntryWithActions]) -> bytes:
    return _LIST_WITH_ACTIONS.dump_json(entries)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Filters of a list of entries. None means any value."""

    user_id: int | None = None
    project_id: int | None = None
    open: bool | None = None
    needs_review: bool | None = None
    search: str | None = None

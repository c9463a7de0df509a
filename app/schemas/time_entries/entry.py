"""Entries as they are answered."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from app.schemas.projects import ProjectRead
from app.schemas.types import Answer, Description, EntryId, Id, UtcTime


class TimeEntryRead(Answer):
    id: EntryId
    user_id: Id
    project_id: Id
    start_time: UtcTime
    end_time: Annotated[UtcTime | None, Field(description="Null while the clock runs.")]
    description: Description
    time_zone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]
    needs_review: Annotated[bool, Field(description="Open for too long: was a clock-out forgotten?")]
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    created_at: UtcTime
    updated_at: UtcTime


class TimeEntryWithProject(TimeEntryRead):
    project: ProjectRead


_LIST = TypeAdapter(list[TimeEntryWithProject])


def as_json(entries: list[TimeEntryWithProject]) -> bytes:
    return _LIST.dump_json(entries)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries a list shows; None leaves a trait open."""

    user_id: int | None = None
    project_id: int | None = None
    open: bool | None = None
    needs_review: bool | None = None
    search: str | None = None

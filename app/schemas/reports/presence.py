"""Users who are clocked in."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from app.schemas.types import DescriptionRead, EntryId, Id, ResponseModel, Seconds, UtcInstant


@dataclass(frozen=True, slots=True)
class PresenceFilter:
    """Filters of the list. None means any value."""

    team_id: int | None = None
    project_id: int | None = None


class Presence(ResponseModel):
    """A user who is clocked in, with the open entry."""

    user_id: Id
    user_name: Annotated[str, Field(max_length=201)]
    entry_id: EntryId
    project_id: Id
    project_name: Annotated[str, Field(max_length=200)]
    description: DescriptionRead
    start_time: UtcInstant
    time_zone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]
    needs_review: Annotated[bool, Field(description="True if the entry is flagged or has been open for too long.")]
    elapsed_seconds: Annotated[Seconds, Field(description="Whole seconds from `start_time` to `X-As-Of`.")]

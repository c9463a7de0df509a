"""Who is at work, as it is answered."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from app.schemas.types import Description, EntryId, Id, ResponseModel, Seconds, UtcInstant


@dataclass(frozen=True, slots=True)
class PresenceFilter:
    """Who is shown; None leaves a trait open."""

    team_id: int | None = None
    project_id: int | None = None


class Presence(ResponseModel):
    """A person who is clocked in."""

    user_id: Id
    user_name: Annotated[str, Field(max_length=201)]
    entry_id: EntryId
    project_id: Id
    project_name: Annotated[str, Field(max_length=200)]
    description: Description
    start_time: UtcInstant
    time_zone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]
    needs_review: Annotated[bool, Field(description="Marked, or open for too long: was a clock-out forgotten?")]
    elapsed_seconds: Annotated[Seconds, Field(description="Whole seconds from start_time to X-As-Of.")]

"""What a team report and its CSV ask and answer."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.schemas.time_entry import TimeEntryWithProject
from app.schemas.types import Answer, Hours, Seconds
from app.schemas.user import UserRead


class Scope(StrEnum):
    team = "team"
    all = "all"


class Columns(StrEnum):
    settled = "settled"
    full = "full"


class TeamMemberHours(Answer):
    employee: UserRead
    total_seconds: Annotated[Seconds, Field(description="Whole seconds of the closed entries.")]
    total_hours: Hours
    entries: Annotated[list[TimeEntryWithProject], Field(description="Oldest first; empty without include_entries.")]

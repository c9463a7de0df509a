"""What a team report and its CSV ask and answer."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.schemas.time_entries.entry import TimeEntryWithProject
from app.schemas.types import DayRead, Hours, ResponseModel, Seconds, UtcInstant
from app.schemas.users.user import UserRead


class ReportScope(StrEnum):
    team = "team"
    all = "all"


class ExportColumns(StrEnum):
    basic = "basic"
    full = "full"


class ExportFormat(StrEnum):
    csv = "csv"
    xlsx = "xlsx"
    json = "json"


class Attribution(StrEnum):
    """To which day an entry belongs: whole to the one on which it starts, or to each with the part inside it."""

    at_start = "start"
    at_midnight = "split"


class TeamMemberHours(ResponseModel):
    employee: UserRead
    total_seconds: Annotated[Seconds, Field(description="Whole seconds of the closed entries.")]
    total_hours: Hours
    entries: Annotated[list[TimeEntryWithProject], Field(description="Oldest first; empty without include_entries.")]


class PersonalReportDay(ResponseModel):
    """One day of a person. Open entries are shown, and counted nowhere."""

    date: DayRead
    total_seconds: Seconds
    total_hours: Hours
    first_start: Annotated[UtcInstant | None, Field(description="When the day's first entry starts.")]
    last_end: Annotated[UtcInstant | None, Field(description="When the last of those that ended ends.")]
    break_seconds: Annotated[Seconds, Field(description="Whole seconds between the day's entries.", examples=[1800])]
    entries: Annotated[list[TimeEntryWithProject], Field(description="Oldest first; with split, their parts.")]


class PersonalReport(ResponseModel):
    start_date: DayRead
    end_date: DayRead
    time_zone: Annotated[str, Field(max_length=64, description="`time_zone`, else yours; entries keep their own.")]
    attribution: Attribution
    as_of: UtcInstant
    total_seconds: Seconds
    total_hours: Hours
    days: Annotated[list[PersonalReportDay], Field(description="Every day of the period, worked or not.")]

"""Team report, personal report and the parameters of exports."""

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
    """Formats of files. `json` is text with one JSON object per line."""

    csv = "csv"
    xlsx = "xlsx"
    json = "json"

    @property
    def extension(self) -> str:
        return "jsonl" if self is ExportFormat.json else self.value

    @property
    def media_type(self) -> str:
        match self:
            case ExportFormat.csv:
                return "text/csv; charset=utf-8"
            case ExportFormat.xlsx:
                return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
            case ExportFormat.json:
                return "application/x-ndjson; charset=utf-8"


class OnlyEntries(StrEnum):
    """Entries that count. `approved`: those in approved timesheets."""

    approved = "approved"


class Attribution(StrEnum):
    """Assignment of entries to days. `start`: the day on which the entry starts. `split`: the entry is split at
    midnight."""

    at_start = "start"
    at_midnight = "split"


NeedsReviewSeconds = Annotated[
    Seconds, Field(description="Seconds of `total_seconds` that are of entries with `needs_review`.", examples=[0])
]


class TeamMemberHours(ResponseModel):
    employee: UserRead
    total_seconds: Annotated[Seconds, Field(description="Total of the closed entries, in seconds.")]
    total_hours: Hours
    needs_review_seconds: NeedsReviewSeconds
    entries: Annotated[
        list[TimeEntryWithProject], Field(description="Oldest first. Empty if `include_entries` is false.")
    ]


class PersonalReportDay(ResponseModel):
    """One day of a user. Open entries are listed but not counted."""

    date: DayRead
    total_seconds: Seconds
    total_hours: Hours
    needs_review_seconds: NeedsReviewSeconds
    first_start: Annotated[UtcInstant | None, Field(description="Start of the first entry.")]
    last_end: Annotated[UtcInstant | None, Field(description="Latest end of a closed entry.")]
    break_seconds: Annotated[Seconds, Field(description="Total time between the entries, in seconds.", examples=[1800])]
    entries: Annotated[list[TimeEntryWithProject], Field(description="Entries, oldest first; segments with `split`.")]


class PersonalReport(ResponseModel):
    start_date: DayRead
    end_date: DayRead
    time_zone: Annotated[
        str,
        Field(
            max_length=64,
            description="The `time_zone` of the request. If omitted, yours; each entry then counts on days of its own.",
        ),
    ]
    attribution: Attribution
    as_of: UtcInstant
    total_seconds: Seconds
    total_hours: Hours
    needs_review_seconds: NeedsReviewSeconds
    days: Annotated[list[PersonalReportDay], Field(description="Every day of the period, with or without entries.")]

"""Timesheets, and the bodies of the actions on them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from app.models.timesheets import PeriodKind, TimesheetStatus
from app.schemas.types import (
    MAX_ID,
    Day,
    DayRead,
    EntryId,
    Hours,
    Id,
    Reason,
    RequestModel,
    ResponseModel,
    Seconds,
    UtcInstant,
)

MAX_APPROVALS = 100
TimesheetAction = Literal["submit", "withdraw", "approve", "reject", "reopen"]
StatusField = Annotated[TimesheetStatus, Field(examples=["submitted"])]
PeriodField = Annotated[PeriodKind, Field(description="Length of the period.", examples=["month"])]
PersonName = Annotated[str, Field(max_length=201, examples=["Ana Silva"])]
Digest = Annotated[
    str | None,
    Field(max_length=64, description="SHA-256 of the locked entries, also in the audit log. Null while not locked."),
]
Comment = Annotated[Reason, Field(examples=["Please correct Tuesday"])]
Actions = Annotated[
    list[TimesheetAction], Field(max_length=5, description="Actions that you may take now.", examples=[["approve"]])
]
TimesheetVersion = Annotated[
    int, Field(ge=0, le=MAX_ID, description="Number of the state of the timesheet, for If-Match. 0 before the first.")
]


class TimesheetRead(ResponseModel):
    user_id: Id
    user_name: PersonName
    first_day: DayRead
    last_day: Annotated[DayRead, Field(examples=["2026-03-31"])]
    period: PeriodField
    status: StatusField
    version: Annotated[TimesheetVersion, Field(examples=[1])]
    time_zone: Annotated[str, Field(max_length=64, description="Present zone of the user.", examples=["Europe/Berlin"])]
    total_seconds: Annotated[Seconds, Field(description="Total of the closed entries that start in the period.")]
    total_hours: Hours
    entries: Annotated[int, Field(ge=0, le=2**53, description="Number of entries.", examples=[21])]
    submitted_at: UtcInstant | None
    submitted_by: Id | None
    decided_at: Annotated[UtcInstant | None, Field(description="When it was last approved, rejected or reopened.")]
    decided_by: Annotated[Id | None, Field(description="Null in an approved one if nobody else could decide.")]
    comment: Annotated[str | None, Field(max_length=500, description="Comment of the last decision.")]
    digest: Digest
    can: Actions


_TIMESHEET_LIST = TypeAdapter(list[TimesheetRead])


def dump_timesheets(timesheets: list[TimesheetRead]) -> bytes:
    return _TIMESHEET_LIST.dump_json(timesheets)


class BlockingEntry(ResponseModel):
    entry_id: EntryId
    type: Annotated[Literal["open", "needs_review"], Field(description="Why it prevents the submission.")]


class TimesheetDetail(TimesheetRead):
    blocking_entries: Annotated[
        list[BlockingEntry], Field(max_length=100, description="Entries that prevent the submission. At most 100.")
    ]


class TimesheetSubmit(RequestModel):
    reason: Annotated[Reason | None, Field(description="Required for the timesheet of another user.")] = None


class TimesheetApprove(RequestModel):
    comment: Comment | None = None


class TimesheetReject(RequestModel):
    comment: Comment


class TimesheetReopen(RequestModel):
    reason: Reason


class TimesheetKey(RequestModel):
    user_id: Id
    first_day: Day
    version: Annotated[TimesheetVersion | None, Field(description="Reject it if it has another version.")] = None


class TimesheetsApprove(RequestModel):
    timesheets: Annotated[
        list[TimesheetKey],
        Field(
            min_length=1,
            max_length=MAX_APPROVALS,
            description="All or none are approved.",
            examples=[[{"user_id": 1, "first_day": "2026-03-01"}]],
        ),
    ]
    comment: Comment | None = None


@dataclass(frozen=True, slots=True)
class TimesheetFilter:
    """Filters of a list of timesheets. None means any value."""

    status: TimesheetStatus | None = None
    user_id: int | None = None
    include_indirect: bool = False

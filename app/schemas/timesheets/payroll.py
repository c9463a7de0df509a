"""Changes of approved timesheets since a payroll file."""

from datetime import date
from typing import Annotated

from pydantic import Field

from app.schemas.types import DayRead, Id, ResponseModel, Seconds, UtcInstant


class ApprovedHours(ResponseModel):
    """An approved state of a timesheet."""

    total_seconds: Annotated[Seconds, Field(description="Total of the entries, in seconds.")]
    digest: Annotated[str, Field(max_length=64, description="SHA-256 of the entries, also in the audit log.")]
    approved_at: UtcInstant


class PayrollChange(ResponseModel):
    """A timesheet whose approved state is not that of the payroll file. Null is not approved."""

    user_id: Id
    first_day: DayRead
    last_day: Annotated[date, Field(examples=["2026-03-31"])]
    was: Annotated[ApprovedHours | None, Field(description="A minute before `since`.")]
    now: Annotated[ApprovedHours | None, Field(description="As of `X-As-Of`.")]
    reasons: Annotated[
        list[Annotated[str, Field(max_length=500)]],
        Field(description="Reasons and comments since then, oldest first.", examples=[["Tuesday was missing"]]),
    ]

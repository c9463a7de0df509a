"""Timesheet rules and the lock date."""

from typing import Annotated

from pydantic import Field

from app.schemas.timesheets.timesheet import PeriodField
from app.schemas.types import MAX_ID, Day, DayRead, Id, Reason, RequestModel, ResponseModel, UtcInstant


class TimesheetRuleRead(ResponseModel):
    """The kind of period from a day on. Weeks are counted from that day, so it decides on which weekday they begin."""

    valid_from: Annotated[DayRead, Field(description="First day of the rule.")]
    period: PeriodField
    created_at: UtcInstant
    created_by: Id


class TimesheetRuleSet(RequestModel):
    period: PeriodField


class LockDateRead(ResponseModel):
    before_day: Annotated[DayRead | None, Field(description="Days before this one are locked. Null if none are.")]
    version: Annotated[int, Field(ge=1, le=MAX_ID, description="Number of the state, for If-Match.", examples=[2])]
    changed_at: UtcInstant | None
    changed_by: Id | None


class LockDateSet(RequestModel):
    before_day: Annotated[Day | None, Field(description="Lock the days before this one. Null locks none.")]
    reason: Reason

"""Hours by group."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import TypedDict

from app.schemas.reports.report import Attribution, NeedsReviewSeconds, OnlyEntries
from app.schemas.types import MAX_ID, DayRead, Hours, Id, ResponseModel, Seconds, UtcInstant

MAX_GROUPS = 3


class SummaryGroup(StrEnum):
    user = "user"
    team = "team"
    project = "project"
    day = "day"
    week = "week"
    month = "month"
    weekday = "weekday"


def _split_commas(value: Any) -> Any:
    """Split `user,month` into two values."""
    if not isinstance(value, list):
        return value
    return [part for each in value for part in (each.split(",") if isinstance(each, str) else [each])]


def _require_unique(groups: list[SummaryGroup]) -> list[SummaryGroup]:
    if len(set(groups)) < len(groups):
        raise ValueError("A group occurs twice. Send each group once.")
    return groups


GroupByQuery = Annotated[
    list[SummaryGroup],
    Field(
        min_length=1,
        max_length=MAX_GROUPS,
        description="One to three groups. Rows are sorted in this order. Repeat the parameter or use commas.",
        examples=[["user", "month"]],
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_require_unique),
    BeforeValidator(_split_commas),
]
Count = Annotated[int, Field(ge=0, le=MAX_ID)]
_DisplayName = Annotated[str, Field(max_length=201)]


@dataclass(frozen=True, slots=True)
class SummaryQuery:
    """Groups and filters of a summary. None means any value."""

    groups: list[SummaryGroup]
    attribution: Attribution = Attribution.at_start
    user_id: int | None = None
    team_id: int | None = None
    project_id: int | None = None
    fill: bool = False
    only: OnlyEntries | None = None


class SummaryKeys(TypedDict, total=False):
    """The keys of the requested groups, and no others."""

    user_id: Id
    user_name: _DisplayName
    team_id: Annotated[Id | None, Field(description="Id of the manager. Null for users without one.")]
    team_name: Annotated[_DisplayName | None, Field(description="Name of the manager.")]
    project_id: Id
    project_name: Annotated[str, Field(max_length=200)]
    day: DayRead
    week: Annotated[str, Field(max_length=8, description="ISO 8601.", examples=["2026-W13"])]
    month: Annotated[str, Field(max_length=7, examples=["2026-03"])]
    weekday: Annotated[int, Field(ge=1, le=7, description="1 is Monday, 7 is Sunday.")]


class SummaryRow(SummaryKeys):
    total_seconds: Seconds
    total_hours: Hours
    needs_review_seconds: NeedsReviewSeconds
    entries: Annotated[Count, Field(description="Number of closed entries with time in the group.")]
    users: Annotated[Count, Field(description="Number of distinct users of these entries.")]


class Summary(ResponseModel):
    """Hours summed by group. The totals are the exact sums of the rows."""

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
    group_by: list[SummaryGroup]
    total_seconds: Seconds
    total_hours: Hours
    needs_review_seconds: NeedsReviewSeconds
    rows: Annotated[list[SummaryRow], Field(description="Sorted by the groups in their order, nulls last.")]

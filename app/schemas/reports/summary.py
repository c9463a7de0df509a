"""What a summary of hours asks and answers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import TypedDict

from app.schemas.reports.report import Attribution
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
    """`user,month` in one value is as good as two values."""
    if not isinstance(value, list):
        return value
    return [part for each in value for part in (each.split(",") if isinstance(each, str) else [each])]


def _require_unique(groups: list[SummaryGroup]) -> list[SummaryGroup]:
    if len(set(groups)) < len(groups):
        raise ValueError("Name each group once.")
    return groups


GroupByQuery = Annotated[
    list[SummaryGroup],
    Field(
        min_length=1,
        max_length=MAX_GROUPS,
        description="One to three, in the order in which the rows are to be sorted; repeated, or with commas between.",
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
    """By what hours are added up, and whose; None leaves a trait open."""

    groups: list[SummaryGroup]
    attribution: Attribution = Attribution.at_start
    user_id: int | None = None
    team_id: int | None = None
    project_id: int | None = None
    fill: bool = False


class SummaryKeys(TypedDict, total=False):
    """The keys of the groups that were asked for, and no others."""

    user_id: Id
    user_name: _DisplayName
    team_id: Annotated[Id | None, Field(description="The manager's; null for people without one.")]
    team_name: Annotated[_DisplayName | None, Field(description="The manager's.")]
    project_id: Id
    project_name: Annotated[str, Field(max_length=200)]
    day: DayRead
    week: Annotated[str, Field(max_length=8, description="ISO 8601.", examples=["2026-W13"])]
    month: Annotated[str, Field(max_length=7, examples=["2026-03"])]
    weekday: Annotated[int, Field(ge=1, le=7, description="1 is Monday.")]


class SummaryRow(SummaryKeys):
    total_seconds: Seconds
    total_hours: Hours
    entries: Annotated[Count, Field(description="Closed entries with a part in the group.")]
    users: Annotated[Count, Field(description="Distinct users among them.")]


class Summary(ResponseModel):
    """Hours added up by group: the totals are the sum of the rows, to the second."""

    start_date: DayRead
    end_date: DayRead
    time_zone: Annotated[str, Field(max_length=64, description="`time_zone`, else yours; entries keep their own.")]
    attribution: Attribution
    as_of: UtcInstant
    group_by: list[SummaryGroup]
    total_seconds: Seconds
    total_hours: Hours
    rows: Annotated[list[SummaryRow], Field(description="By their keys in the order asked, nulls last.")]

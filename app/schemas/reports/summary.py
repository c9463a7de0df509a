"""What a summary of hours asks and answers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import TypedDict

from app.schemas.reports.report import Attribution
from app.schemas.types import MAX_ID, Answer, DayRead, Hours, Id, Seconds, UtcTime

MAX_GROUPS = 3


class Group(StrEnum):
    user = "user"
    team = "team"
    project = "project"
    day = "day"
    week = "week"
    month = "month"
    weekday = "weekday"


def _split(value: Any) -> Any:
    """`user,month` in one value is as good as two values."""
    if not isinstance(value, list):
        return value
    return [part for each in value for part in (each.split(",") if isinstance(each, str) else [each])]


def _different(groups: list[Group]) -> list[Group]:
    if len(set(groups)) < len(groups):
        raise ValueError("Name each group once.")
    return groups


Groups = Annotated[
    list[Group],
    Field(
        min_length=1,
        max_length=MAX_GROUPS,
        description="One to three, in the order in which the rows are to be sorted; repeated, or with commas between.",
        examples=[["user", "month"]],
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_different),
    BeforeValidator(_split),
]
Count = Annotated[int, Field(ge=0, le=MAX_ID)]
_Name = Annotated[str, Field(max_length=201)]


@dataclass(frozen=True, slots=True)
class SummaryWanted:
    """By what hours are added up, and whose; None leaves a trait open."""

    groups: list[Group]
    attribution: Attribution = Attribution.at_start
    user_id: int | None = None
    team_id: int | None = None
    project_id: int | None = None
    fill: bool = False


class SummaryKeys(TypedDict, total=False):
    """The keys of the groups that were asked for, and no others."""

    user_id: Id
    user_name: _Name
    team_id: Annotated[Id | None, Field(description="The manager's; null for people without one.")]
    team_name: Annotated[_Name | None, Field(description="The manager's.")]
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


class Summary(Answer):
    """Hours added up by group: the totals are the sum of the rows, to the second."""

    start_date: DayRead
    end_date: DayRead
    time_zone: Annotated[str, Field(max_length=64, description="`time_zone`, else yours; entries keep their own.")]
    attribution: Attribution
    as_of: UtcTime
    group_by: list[Group]
    total_seconds: Seconds
    total_hours: Hours
    rows: Annotated[list[SummaryRow], Field(description="By their keys in the order asked, nulls last.")]

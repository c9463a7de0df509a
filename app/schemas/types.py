"""Bounded types for everything that comes in and goes out: every string has a maximum, every number a range."""

import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from app.core.passwords import weakness
from app.core.text import text_key
from app.core.time_zones import zone_names

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 1, 1)
MAX_ID = 2**31 - 1
MAX_KEY_LENGTH = 400


class Body(BaseModel):
    """What a client sends: fields it lists, and no others."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """What a client gets: the fields listed, and no others."""

    model_config = ConfigDict(from_attributes=True)


def plain_text(text: str) -> str:
    """Refuse NUL and control characters (PostgreSQL can't store the first), but for tab and newline."""
    if any(unicodedata.category(character) == "Cc" and character not in "\t\n\r" for character in text):
        raise ValueError("Control characters are not allowed.")
    return text


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text):
        raise ValueError("Control characters and line breaks are not allowed.")
    return text


def _with_key(text: str) -> str:
    """Refuse text whose key outgrows its column: one character can become 18 (U+FDFA)."""
    if len(text_key(text)) > MAX_KEY_LENGTH:
        raise ValueError("Too long in its normal form. Use plainer characters.")
    return text


def _known_zone(name: str) -> str:
    if name not in zone_names():
        raise ValueError("Not a name of the tz database. Send one like Europe/Berlin.")
    return name


def _strong(password: str) -> str:
    if reason := weakness(password):
        raise ValueError(reason)
    return password


def _in_calendar(day: date) -> date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"Dates go from {FIRST_DAY} to {LAST_DAY}.")
    return day


def _only_iso(value: Any) -> Any:
    """A date is YYYY-MM-DD: pydantic would also read a number as seconds since 1970."""
    if isinstance(value, str) and not (len(value) == 10 and value[4] == value[7] == "-"):
        raise ValueError("Send a date as YYYY-MM-DD.")
    return value


def _z(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Id = Annotated[int, Field(ge=1, le=MAX_ID, examples=[7])]
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_one_line), AfterValidator(_with_key)
]
PersonName = Annotated[Line, Field(max_length=100, examples=["Ana"])]
ProjectName = Annotated[Line, Field(max_length=200, examples=["Website"])]
Description = Annotated[str, Field(max_length=2000, examples=["Landing page"]), AfterValidator(plain_text)]
Search = Annotated[str, Field(min_length=1, max_length=100, examples=["ana"]), AfterValidator(_one_line)]
Email = Annotated[EmailStr, Field(max_length=254, examples=["ana@example.com"]), AfterValidator(_with_key)]
NewPassword = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,  # characters sent; the rule (12 to 128) counts them normalised
        description="12 to 128 characters, and not among the first that are guessed.",
        examples=["correct horse battery"],
        json_schema_extra={"format": "password"},
    ),
    AfterValidator(_strong),
]
TimeZoneName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        description="A name of the tz database.",
        examples=["Europe/Berlin"],
        json_schema_extra={"format": "time-zone"},
    ),
    AfterValidator(_known_zone),
]
Day = Annotated[
    date,
    BeforeValidator(_only_iso),
    AfterValidator(_in_calendar),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date",
            "minLength": 10,
            "maxLength": 10,
            "description": f"A date from {FIRST_DAY} to {LAST_DAY}.",
            "examples": ["2026-03-02"],
        }
    ),
]
UtcTime = Annotated[
    datetime,
    PlainSerializer(_z, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "maxLength": 20,
            "description": "An instant in UTC, in whole seconds (RFC 3339).",
            "examples": ["2026-03-02T08:00:00Z"],
        },
        mode="serialization",
    ),
]
Seconds = Annotated[int, Ge(0), Le(2**53), Field(description="Whole seconds.", examples=[27000])]
Hours = Annotated[
    float, Ge(0), Field(description="The summed seconds in hours, rounded half-up to two decimals.", examples=[7.5])
]


def hours(seconds: int) -> float:
    """Hours rounded half-up to two decimals, from summed whole seconds: 18 s is 0.01 h (half of 36 s rounds up)."""
    return (seconds + 18) // 36 / 100

"""Field types of requests and responses. Every string has a maximum length, every number a range."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StrictBool,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from app.core.email_addresses import normalize_address
from app.core.security.passwords import length_problem
from app.core.text import remove_bidi_controls
from app.core.time.zones import zone_names
from app.schemas import text_checks

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 1, 1)
# The first instant of FIRST_DAY in any time zone (Pacific/Kiritimati). The zone of an entry is checked with the entry.
_FIRST_INSTANT, _LAST_INSTANT = datetime(1999, 12, 31, 10, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
MAX_FIELDS = 20
"""Number of fields of an object in a request, known or not. No object has as many known ones."""
MAX_ID = 2**31 - 1
MAX_ENTRY_ID = 2**53 - 1
"""The largest integer that every JSON parser reads exactly. Only a partitioned database (docs/scaling.md) has ids above
MAX_ID."""


class RequestModel(BaseModel):
    """A request body, or an object in it. Unknown fields are rejected.

    Each has an error of its own. So many of them are rejected as one: 72,000 errors would take a second, in which the
    worker process answers nobody.
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _limit_fields(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > MAX_FIELDS:
            raise ValueError(f"Send at most {MAX_FIELDS} fields.")
        return data


class ResponseModel(BaseModel):
    """A response body. Only the listed fields are returned."""

    model_config = ConfigDict(from_attributes=True)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that the OpenAPI document shows. The error is `message`, whereas pydantic's contains the expression."""

    expression: str
    message: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.expression}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.expression, text) is None:
            raise ValueError(self.message)
        return text


PLAIN_TEXT = Pattern(r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$", "Control characters are not allowed.")
"""Rejects NUL, which SQLite stores and PostgreSQL can't."""
# Invisible characters could make two names look alike, and bidirectional controls could reorder the text beside a name.
# `check_controls` also rejects all others, and joiners that no script needs. A pattern cannot express that.
INVISIBLE = r"\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
ONE_LINE = Pattern(
    rf"^(?!\s*$)[^\x00-\x1f\x7f-\x9f\u2028\u2029{INVISIBLE}]+$",
    "Send one line that is not blank, without control or invisible characters.",
)


def _check_time_zone(name: str) -> str:
    if name not in zone_names():
        raise ValueError("Unknown time zone. Send a name from the tz database, such as Europe/Berlin.")
    return name


def _check_password_length(password: str) -> str:
    """Check the length only. The strength check is slow, so it runs in the hasher after the caller is authorized."""
    if reason := length_problem(password):
        raise ValueError(reason)
    return password


def _check_day_range(day: date) -> date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"The date is out of range. Send one from {FIRST_DAY} to {LAST_DAY}.")
    return day


def _require_iso_date(value: Any) -> Any:
    """Require YYYY-MM-DD, because pydantic would also accept a number as a Unix time."""
    if isinstance(value, str) and not (len(value) == 10 and value[4] == value[7] == "-"):
        raise ValueError("Send a date as YYYY-MM-DD.")
    return value


def _require_rfc_3339(value: Any) -> Any:
    """Require RFC 3339 with an offset, because pydantic would also accept a number or a time without one."""
    if not (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        raise ValueError("Send an instant with an offset, such as 2026-03-02T08:00:00Z or 2026-03-02T09:00:00+01:00.")
    return value


def _to_utc_second(instant: datetime) -> datetime:
    """Return the instant in UTC without its fraction of a second. Raises ValueError if it is out of range."""
    if not _FIRST_INSTANT <= instant <= _LAST_INSTANT:
        raise ValueError(f"The instant is out of range. Send one from {_FIRST_INSTANT:%Y-%m-%dT%H:%MZ} to {LAST_DAY}.")
    return instant.astimezone(UTC).replace(microsecond=0)


def _require_number(value: Any) -> Any:
    """Require a JSON number, because pydantic would also accept true and "1". (1.0 is an integer in JSON Schema.)"""
    if isinstance(value, bool | str):
        raise ValueError("Send a whole number.")  # noqa: TRY004 - pydantic requires a ValueError
    return value


@lru_cache(maxsize=65_536)
def format_epoch(second: int) -> str:
    """Format a Unix time in seconds as responses do. Cached, because the same instants are often requested again."""
    return _format_utc(datetime.fromtimestamp(second, UTC))


def _format_utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()[:19] + "Z"  # five times as fast as strftime


Id = Annotated[int, Field(ge=1, le=MAX_ID, examples=[1]), BeforeValidator(_require_number)]
EntryId = Annotated[int, Field(ge=1, le=MAX_ENTRY_ID, examples=[1]), BeforeValidator(_require_number)]
IsActive = Annotated[StrictBool, Field(examples=[True])]
VisibleLine = Annotated[
    str,
    Field(min_length=1),
    ONE_LINE,
    AfterValidator(str.strip),
    AfterValidator(text_checks.check_key_length),
    AfterValidator(text_checks.check_controls),
]
LabelText = Annotated[VisibleLine, AfterValidator(text_checks.check_letters)]
"""A name by which users tell things apart, with at least one letter or digit."""
UserNamePart = Annotated[VisibleLine, Field(max_length=100, examples=["Ana"])]
"""Letters are not required, because a user with one name only has "-" or "." as the other."""
UserNamePartRead = Annotated[str, Field(max_length=100, examples=["Ana"])]
"""Responses are not checked. They have names that an earlier version accepted."""
ProjectName = Annotated[LabelText, Field(max_length=200, examples=["Website"])]
ProjectNameRead = Annotated[str, Field(max_length=200, examples=["Website"])]
DescriptionRead = Annotated[str, Field(max_length=2000, examples=["Landing page"])]
Description = Annotated[
    DescriptionRead,
    PLAIN_TEXT,
    AfterValidator(text_checks.check_normalized_length),
    AfterValidator(remove_bidi_controls),
]
"""Bidirectional controls are removed instead of rejected. Copied text has them, and a punch must not fail for that."""
Reason = Annotated[
    str,
    Field(min_length=1, max_length=500, examples=["Forgot to clock out"]),
    ONE_LINE,
    AfterValidator(str.strip),
    AfterValidator(text_checks.check_controls),
]
SearchText = Annotated[
    str, Field(min_length=1, max_length=100, examples=["ana"]), ONE_LINE, AfterValidator(text_checks.check_controls)
]
Email = Annotated[
    str,
    AfterValidator(normalize_address),
    Field(max_length=254, examples=["ana@example.com"], json_schema_extra={"format": "email"}),
    AfterValidator(text_checks.check_email_key),
]
NewPassword = Annotated[
    str,
    Field(
        max_length=512,  # before normalization; the limits of 12 and 128 apply after it
        description="12 to 128 characters. Passwords that are easy to guess are rejected.",
        examples=["correct horse battery"],
        json_schema_extra={"format": "password", "minLength": 12, "maxLength": 128},
    ),
    PLAIN_TEXT,
    AfterValidator(_check_password_length),
]
TimeZoneName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        description="Name of a time zone in the tz database.",
        examples=["Europe/Berlin"],
        json_schema_extra={"format": "time-zone"},
    ),
    AfterValidator(_check_time_zone),
]
Day = Annotated[
    date,
    BeforeValidator(_require_iso_date),
    AfterValidator(_check_day_range),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date",
            "pattern": r"^(20\d\d-\d\d-\d\d|2100-01-01)$",
            "description": f"Date from {FIRST_DAY} to {LAST_DAY}.",
            "examples": ["2026-03-02"],
        }
    ),
]
Month = Annotated[
    str,
    Field(min_length=7, max_length=7, description="Month from 2000-01 to 2099-12.", examples=["2026-03"]),
    Pattern(r"^20[0-9]{2}-(0[1-9]|1[0-2])$", "Send a month as YYYY-MM, from 2000-01 to 2099-12."),
]
DayRead = Annotated[date, Field(examples=["2026-03-02"])]
UtcInstant = Annotated[
    datetime,
    PlainSerializer(_format_utc, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "maxLength": 20,
            "description": "Instant in UTC in whole seconds (RFC 3339).",
            "examples": ["2026-03-02T08:00:00Z"],
        },
        mode="serialization",
    ),
]
InputInstant = Annotated[
    datetime,
    BeforeValidator(_require_rfc_3339),
    AfterValidator(_to_utc_second),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "maxLength": 35,
            "pattern": r"^(1999-12-31|20\d\d-\d\d-\d\d)[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$",
            "description": f"Instant with an offset (RFC 3339), on local days from {FIRST_DAY} to {LAST_DAY}. "
            "Fractions of a second are dropped.",
            "examples": ["2026-03-02T08:00:00Z"],
        },
        mode="validation",
    ),
]
Seconds = Annotated[int, Ge(0), Le(2**53), Field(description="Whole seconds.", examples=[27000])]
Hours = Annotated[
    float, Ge(0), Field(description="Total seconds in hours, rounded half-up to two decimals.", examples=[7.5])
]


def hours(seconds: int) -> float:
    """Convert total seconds to hours, rounded half-up to two decimals: 18 s, half of 0.01 h, is 0.01 h."""
    return (seconds + 18) // 36 / 100

"""People as they are sent and answered."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from app.models.users import Role
from app.schemas.auth.password import MustChangePassword
from app.schemas.types import (
    Email,
    Id,
    IsActive,
    NewPassword,
    RequestModel,
    ResponseModel,
    TimeZoneName,
    UserNamePart,
    UtcInstant,
)

RoleField = Annotated[Role, Field(examples=["employee"])]


class UserRead(ResponseModel):
    id: Id
    email: Annotated[str, Field(max_length=254, examples=["ana@example.com"])]
    first_name: UserNamePart
    last_name: Annotated[UserNamePart, Field(examples=["Silva"])]
    is_active: IsActive
    role: RoleField
    manager_id: Id | None
    time_zone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]
    created_at: UtcInstant


class AccountRead(UserRead):
    """A person as they themselves and admins see them."""

    must_change_password: Annotated[bool, Field(description="Before they can do anything else.", examples=[False])]
    has_second_factor: Annotated[bool, Field(examples=[False])]


class NewUser(RequestModel):
    """A person to add; without a zone they get the service's DEFAULT_TIME_ZONE."""

    email: Email
    first_name: UserNamePart
    last_name: Annotated[UserNamePart, Field(examples=["Silva"])]
    role: RoleField
    manager_id: Id | None = None
    time_zone: TimeZoneName | None = None


class UserCreate(NewUser):
    """A person to add; without a password they need a set-password link to get in."""

    password: NewPassword | None = None
    must_change_password: MustChangePassword = None


def _remove_null_type(schema: dict[str, Any]) -> None:
    for name, field_schema in schema["properties"].items():
        variants = [variant for variant in field_schema.pop("anyOf", []) if variant != {"type": "null"}]
        schema["properties"][name] = {**(variants[0] if variants else {}), **field_schema}
        schema["properties"][name].pop("default", None)


class PatchModel(RequestModel):
    """A change of some fields: the ones that are sent. Null is refused, since no field can be emptied."""

    model_config = ConfigDict(json_schema_extra=_remove_null_type)

    @model_validator(mode="before")
    @classmethod
    def _refuse_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict) and any(value is None for value in data.values()):
            raise ValueError("A field can't be null. Leave it out to keep it.")
        return data


class AccountUpdate(PatchModel):
    """What people change about themselves. Role, manager and active flag are an admin's to change."""

    first_name: UserNamePart | None = None
    last_name: Annotated[UserNamePart | None, Field(examples=["Silva"])] = None
    time_zone: TimeZoneName | None = None


class UserUpdate(AccountUpdate):
    email: Email | None = None
    role: RoleField | None = None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which people a list shows; None leaves a trait open."""

    search: str | None = None
    role: Role | None = None
    is_active: bool | None = None
    manager_id: int | None = None

"""Users."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from app.models.users import Role
from app.schemas.auth.password import MustChangePassword
from app.schemas.types import (
    MAX_ID,
    Email,
    Id,
    IsActive,
    NewPassword,
    RequestModel,
    ResponseModel,
    TimeZoneName,
    UserNamePart,
    UserNamePartRead,
    UtcInstant,
)

RoleField = Annotated[Role, Field(examples=["employee"])]


class UserRead(ResponseModel):
    id: Id
    email: Annotated[str, Field(max_length=254, examples=["ana@example.com"])]
    first_name: UserNamePartRead
    last_name: Annotated[UserNamePartRead, Field(examples=["Silva"])]
    is_active: IsActive
    role: RoleField
    manager_id: Id | None
    time_zone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]
    created_at: UtcInstant


class AccountRead(UserRead):
    """A user, as returned to the user and to admins."""

    must_change_password: Annotated[
        bool, Field(description="True if the user must change the password first.", examples=[False])
    ]
    has_second_factor: Annotated[bool, Field(examples=[False])]


UserAction = Literal[
    "update",
    "update_email",
    "update_role",
    "assign_manager",
    "remove_manager",
    "deactivate",
    "activate",
    "set_password",
    "create_password_link",
    "end_sessions",
    "reset_second_factor",
]


class UserWithActions(AccountRead):
    """A user, as returned to admins."""

    can: Annotated[
        list[UserAction],
        Field(
            max_length=len(get_args(UserAction)),
            description="Actions that you may take now. `update` is a change of names and time zone.",
            examples=[["update"]],
        ),
    ]


class DeactivatedUser(UserWithActions):
    active_reports: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_ID,
            description="Active direct reports, who have no active manager now. "
            "`GET /admin/users?manager_is_active=false&is_active=true` lists all such users.",
            examples=[0],
        ),
    ]


class NewUser(RequestModel):
    """A user to create. If `time_zone` is omitted, the server's DEFAULT_TIME_ZONE is used."""

    email: Email
    first_name: UserNamePart
    last_name: Annotated[UserNamePart, Field(examples=["Silva"])]
    role: RoleField
    manager_id: Id | None = None
    time_zone: TimeZoneName | None = None


class UserCreate(NewUser):
    """A user to create. Without `password`, the user needs a password link to log in."""

    password: NewPassword | None = None
    must_change_password: MustChangePassword = None


def _remove_null_type(schema: dict[str, Any]) -> None:
    for name, field_schema in schema["properties"].items():
        variants = [variant for variant in field_schema.pop("anyOf", []) if variant != {"type": "null"}]
        schema["properties"][name] = {**(variants[0] if variants else {}), **field_schema}
        schema["properties"][name].pop("default", None)


class PatchModel(RequestModel):
    """A change of the fields that are sent. Null is rejected, because no field can be empty."""

    model_config = ConfigDict(json_schema_extra=_remove_null_type)

    @model_validator(mode="before")
    @classmethod
    def _reject_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict) and any(value is None for value in data.values()):
            raise ValueError("A field can't be null. Leave it out to keep it.")
        return data


class AccountUpdate(PatchModel):
    """Changes of the caller's own account. Only admins change role, manager and active flag."""

    first_name: UserNamePart | None = None
    last_name: Annotated[UserNamePart | None, Field(examples=["Silva"])] = None
    time_zone: TimeZoneName | None = None


class UserUpdate(AccountUpdate):
    email: Email | None = None
    role: RoleField | None = None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Filters of a list of users. None means any value."""

    search: str | None = None
    role: Role | None = None
    is_active: bool | None = None
    manager_id: int | None = None
    manager_is_active: bool | None = None
    """False for users whose manager is deactivated. Users without a manager match neither value."""

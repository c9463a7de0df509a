"""People as they are sent and answered."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from app.models.users import Role
from app.schemas.auth.password import MustChange
from app.schemas.types import Answer, Body, Email, Id, IsActive, NewPassword, PersonName, TimeZoneName, UtcTime

RoleField = Annotated[Role, Field(examples=["employee"])]


class UserRead(Answer):
    id: Id
    email: Annotated[str, Field(max_length=254, examples=["ana@example.com"])]
    first_name: PersonName
    last_name: Annotated[PersonName, Field(examples=["Silva"])]
    is_active: IsActive
    role: RoleField
    manager_id: Id | None
    time_zone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]
    created_at: UtcTime


class AccountRead(UserRead):
    """A person as they themselves and admins see them."""

    must_change_password: Annotated[bool, Field(description="Before they can do anything else.", examples=[False])]
    has_second_factor: Annotated[bool, Field(examples=[False])]


class NewPerson(Body):
    """A person to add; without a zone they get the service's DEFAULT_TIME_ZONE."""

    email: Email
    first_name: PersonName
    last_name: Annotated[PersonName, Field(examples=["Silva"])]
    role: RoleField
    manager_id: Id | None = None
    time_zone: TimeZoneName | None = None


class UserCreate(NewPerson):
    """A person to add; without a password they need a set-password link to get in."""

    password: NewPassword | None = None
    must_change_password: MustChange = None


def _never_null(schema: dict[str, Any]) -> None:
    for name, described in schema["properties"].items():
        kinds = [kind for kind in described.pop("anyOf", []) if kind != {"type": "null"}]
        schema["properties"][name] = {**(kinds[0] if kinds else {}), **described}
        schema["properties"][name].pop("default", None)


class Changes(Body):
    """A change of some fields: the ones that are sent. Null is refused, since no field can be emptied."""

    model_config = ConfigDict(json_schema_extra=_never_null)

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, sent: Any) -> Any:
        if isinstance(sent, dict) and any(value is None for value in sent.values()):
            raise ValueError("A field can't be null. Leave it out to keep it.")
        return sent


class MeUpdate(Changes):
    """What people change about themselves. Role, manager and active flag are an admin's to change."""

    first_name: PersonName | None = None
    last_name: Annotated[PersonName | None, Field(examples=["Silva"])] = None
    time_zone: TimeZoneName | None = None


class UserUpdate(MeUpdate):
    email: Email | None = None
    role: RoleField | None = None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which people a list shows; None leaves a trait open."""

    search: str | None = None
    role: Role | None = None
    is_active: bool | None = None
    manager_id: int | None = None

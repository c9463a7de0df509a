"""Projects."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.types import (
    Id,
    IsActive,
    LabelText,
    ProjectName,
    ProjectNameRead,
    RequestModel,
    ResponseModel,
    UtcInstant,
)
from app.schemas.users.user import PatchModel

ProjectCode = Annotated[LabelText, Field(max_length=50, examples=["CC-100"])]


class ProjectRead(ResponseModel):
    id: Id
    name: ProjectNameRead
    is_active: IsActive
    created_at: UtcInstant
    code: Annotated[
        str | None, Field(max_length=50, description="Code for payroll, such as a cost centre.", examples=["CC-100"])
    ] = None


class ProjectCreate(RequestModel):
    name: ProjectName
    code: Annotated[ProjectCode | None, Field(description="Code for payroll. No two projects have the same.")] = None


class ProjectUpdate(PatchModel):
    """Changes of a project. `is_active: false` archives it. Its open entries stay open."""

    name: ProjectName | None = None
    code: Annotated[ProjectCode | Literal[""] | None, Field(description="Empty text removes the code.")] = None
    is_active: IsActive | None = None

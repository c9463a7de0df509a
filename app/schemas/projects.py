"""Projects as they are sent and answered."""

from app.schemas.types import Id, IsActive, ProjectName, RequestModel, ResponseModel, UtcInstant
from app.schemas.users.user import PatchModel


class ProjectRead(ResponseModel):
    id: Id
    name: ProjectName
    is_active: IsActive
    created_at: UtcInstant


class ProjectCreate(RequestModel):
    name: ProjectName


class ProjectUpdate(PatchModel):
    """`is_active: false` archives the project: nobody can clock in on it; running entries go on."""

    name: ProjectName | None = None
    is_active: IsActive | None = None

"""Projects."""

from app.schemas.types import Id, IsActive, ProjectName, ProjectNameRead, RequestModel, ResponseModel, UtcInstant
from app.schemas.users.user import PatchModel


class ProjectRead(ResponseModel):
    id: Id
    name: ProjectNameRead
    is_active: IsActive
    created_at: UtcInstant


class ProjectCreate(RequestModel):
    name: ProjectName


class ProjectUpdate(PatchModel):
    """Changes of a project. `is_active: false` archives it. Its open entries stay open."""

    name: ProjectName | None = None
    is_active: IsActive | None = None

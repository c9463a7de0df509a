"""Projects as they are sent and answered."""

from app.schemas.types import Answer, Body, Id, IsActive, ProjectName, UtcTime
from app.schemas.users.user import Changes


class ProjectRead(Answer):
    id: Id
    name: ProjectName
    is_active: IsActive
    created_at: UtcTime


class ProjectCreate(Body):
    name: ProjectName


class ProjectUpdate(Changes):
    """`is_active: false` archives the project: nobody can clock in on it; running entries go on."""

    name: ProjectName | None = None
    is_active: IsActive | None = None

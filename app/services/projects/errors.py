"""Domain errors of projects."""

from app.core.errors import Conflict, NotFound


class ProjectNotFound(NotFound):
    code = "project_not_found"
    title = "Project not found"


class ProjectInactive(Conflict):
    code = "project_inactive"
    title = "Project archived"


class ProjectNameTaken(Conflict):
    code = "project_name_taken"
    title = "Project name taken"


class ProjectCodeTaken(Conflict):
    code = "project_code_taken"
    title = "Project code taken"

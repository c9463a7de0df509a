"""Domain errors of projects."""

from app.core.errors import Conflict, NotFound


class ProjectNotFound(NotFound):
    code = "project_not_found"
    title = "No such project"


class ProjectInactive(Conflict):
    code = "project_inactive"
    title = "The project is archived"


class ProjectNameTaken(Conflict):
    code = "project_name_taken"
    title = "Project name taken"

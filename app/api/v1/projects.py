"""Projects that the caller may clock in on, and their administration."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, Security

from app.api.dependencies.authentication import AdminTransaction, UserTransactionRunner, require_user
from app.api.dependencies.parameters import Now, PageDep, PathId
from app.api.http.response_headers import set_location
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, ROLE_ERRORS
from app.core.pagination import InvalidCursor
from app.core.security.access_tokens import TokenScope
from app.schemas.projects import ProjectCreate, ProjectRead, ProjectUpdate
from app.schemas.types import SearchText
from app.schemas.users.user import UserRead
from app.services.access.errors import UserNotFound
from app.services.projects import projects
from app.services.projects.errors import ProjectCodeTaken, ProjectNameTaken, ProjectNotFound

router = APIRouter(prefix="/projects", tags=["projects"])
admin_router = APIRouter(prefix="/admin/projects", tags=["admin: projects"])
UserTransaction = Annotated[
    UserTransactionRunner, Security(require_user, scopes=[TokenScope.entries_read, TokenScope.entries_write])
]


@router.get("", summary="List projects that I may clock in on", responses=error_responses(*AUTH_ERRORS, InvalidCursor))
async def list_bookable_projects(tx: UserTransaction, page: PageDep, response: Response) -> list[ProjectRead]:
    """Active projects that you may clock in on, sorted by id. `X-Total-Count` has the total."""
    bookable = await tx.read(projects.list_bookable, page.ids)
    page.set_headers(response, bookable)
    return [ProjectRead.model_validate(project) for project in bookable.rows]


@admin_router.post(
    "",
    summary="Create a project",
    status_code=201,
    responses=error_responses(*ROLE_ERRORS, ProjectNameTaken, ProjectCodeTaken),
)
async def create_project(
    body: ProjectCreate, tx: AdminTransaction, now: Now, request: Request, response: Response
) -> ProjectRead:
    """All users may clock in on the project until it has members. The name must be unique, ignoring case."""
    project = ProjectRead.model_validate(await tx.write(projects.create, body, at=now))
    set_location(request, response, project.id)
    return project


@admin_router.get("", summary="List projects", responses=error_responses(*ROLE_ERRORS, InvalidCursor))
async def list_projects(
    tx: AdminTransaction,
    page: PageDep,
    response: Response,
    search: Annotated[SearchText | None, Query(description="Part of the name, ignoring case.")] = None,
    is_active: Annotated[bool | None, Query(description="`true`: only active. `false`: only archived.")] = None,
) -> list[ProjectRead]:
    """All projects, including archived ones, sorted by id."""
    matching = await tx.read(projects.list_page, page.ids, is_active=is_active, search=search)
    page.set_headers(response, matching)
    return [ProjectRead.model_validate(project) for project in matching.rows]


@admin_router.get("/{project_id}", summary="Get a project", responses=error_responses(*ROLE_ERRORS, ProjectNotFound))
async def get_project(project_id: PathId, tx: AdminTransaction) -> ProjectRead:
    """One project, active or archived."""
    return ProjectRead.model_validate(await tx.read(projects.get, project_id))


@admin_router.patch(
    "/{project_id}",
    summary="Update a project",
    responses=error_responses(*ROLE_ERRORS, ProjectNotFound, ProjectNameTaken, ProjectCodeTaken),
)
async def update_project(project_id: PathId, body: ProjectUpdate, tx: AdminTransaction, now: Now) -> ProjectRead:
    """Rename, archive or reactivate a project. `is_active: false` archives it.

    Clocking in on an archived project is rejected. Its open entries stay open.
    """
    return ProjectRead.model_validate(await tx.write(projects.change, project_id, body, at=now))


@admin_router.get(
    "/{project_id}/members",
    summary="List a project's members",
    responses=error_responses(*ROLE_ERRORS, ProjectNotFound, InvalidCursor),
)
async def list_project_members(
    project_id: PathId, tx: AdminTransaction, page: PageDep, response: Response
) -> list[UserRead]:
    """The users who may clock in on the project, sorted by id. If the list is empty, all users may."""
    members = await tx.read(projects.list_members, project_id, page.ids)
    page.set_headers(response, members)
    return [UserRead.model_validate(user) for user in members.rows]


@admin_router.put(
    "/{project_id}/members/{user_id}",
    summary="Add a project member",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, ProjectNotFound, UserNotFound),
)
async def add_project_member(project_id: PathId, user_id: PathId, tx: AdminTransaction, now: Now) -> None:
    """Once a project has a member, only members may clock in on it. Adding a member again changes nothing."""
    await tx.write(projects.add_member, project_id, user_id, at=now)


@admin_router.delete(
    "/{project_id}/members/{user_id}",
    summary="Remove a project member",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, ProjectNotFound, UserNotFound),
)
async def remove_project_member(project_id: PathId, user_id: PathId, tx: AdminTransaction, now: Now) -> None:
    """Once the last member is removed, all users may clock in on the project again."""
    await tx.write(projects.remove_member, project_id, user_id, at=now)

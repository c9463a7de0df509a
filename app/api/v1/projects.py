"""Projects: what the caller may book, and how admins run them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import AdminTransaction, UserTransactionRunner, require_user
from app.api.dependencies.parameters import Now, PageDep, PathId
from app.api.http.problems import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, ROLE_ERRORS
from app.core.security.access_tokens import TokenScope
from app.schemas.projects import ProjectCreate, ProjectRead, ProjectUpdate
from app.schemas.types import SearchText
from app.schemas.users.user import UserRead
from app.services.access.errors import UserNotFound
from app.services.projects import projects
from app.services.projects.errors import ProjectNameTaken, ProjectNotFound

router = APIRouter(prefix="/projects", tags=["projects"])
admin_router = APIRouter(prefix="/admin/projects", tags=["admin: projects"])
UserTransaction = Annotated[
    UserTransactionRunner, Security(require_user, scopes=[TokenScope.entries_read, TokenScope.entries_write])
]


@router.get("", summary="Projects I may book", responses=error_responses(*AUTH_ERRORS))
async def list_bookable_projects(tx: UserTransaction, page: PageDep, response: Response) -> list[ProjectRead]:
    """Active projects that you may clock in on, by id. `X-Total-Count` says how many there are in all."""
    rows, total = await tx.read(projects.list_bookable, skip=page.skip, limit=page.limit)
    page.set_headers(response, total)
    return [ProjectRead.model_validate(project) for project in rows]


@admin_router.post(
    "", summary="Add a project", status_code=201, responses=error_responses(*ROLE_ERRORS, ProjectNameTaken)
)
async def create_project(body: ProjectCreate, tx: AdminTransaction, now: Now) -> ProjectRead:
    """Everyone may book it until it has members. Names are unique without regard to case."""
    return ProjectRead.model_validate(await tx.write(projects.create, body, at=now))


@admin_router.get("", summary="List projects", responses=error_responses(*ROLE_ERRORS))
async def list_projects(
    tx: AdminTransaction,
    page: PageDep,
    response: Response,
    search: Annotated[SearchText | None, Query(description="Part of the name, in any case.")] = None,
    is_active: Annotated[bool | None, Query(description="Only the active, or only the archived.")] = None,
) -> list[ProjectRead]:
    """All projects, archived ones too, by id."""
    rows, total = await tx.read(
        projects.list_page, is_active=is_active, search=search, skip=page.skip, limit=page.limit
    )
    page.set_headers(response, total)
    return [ProjectRead.model_validate(project) for project in rows]


@admin_router.get("/{project_id}", summary="Read a project", responses=error_responses(*ROLE_ERRORS, ProjectNotFound))
async def get_project(project_id: PathId, tx: AdminTransaction) -> ProjectRead:
    """One project, archived or not."""
    return ProjectRead.model_validate(await tx.read(projects.get, project_id))


@admin_router.patch(
    "/{project_id}",
    summary="Rename, archive or reopen a project",
    responses=error_responses(*ROLE_ERRORS, ProjectNotFound, ProjectNameTaken),
)
async def update_project(project_id: PathId, body: ProjectUpdate, tx: AdminTransaction, now: Now) -> ProjectRead:
    """`is_active: false` archives it: nobody can clock in on it any more; entries that run go on."""
    return ProjectRead.model_validate(await tx.write(projects.change, project_id, body, at=now))


@admin_router.get(
    "/{project_id}/members",
    summary="List a project's members",
    responses=error_responses(*ROLE_ERRORS, ProjectNotFound),
)
async def list_project_members(
    project_id: PathId, tx: AdminTransaction, page: PageDep, response: Response
) -> list[UserRead]:
    """The people who may book it, by id. None means: everyone may."""
    rows, total = await tx.read(projects.list_members, project_id, skip=page.skip, limit=page.limit)
    page.set_headers(response, total)
    return [UserRead.model_validate(user) for user in rows]


@admin_router.put(
    "/{project_id}/members/{user_id}",
    summary="Add a member",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, ProjectNotFound, UserNotFound),
)
async def add_project_member(project_id: PathId, user_id: PathId, tx: AdminTransaction, now: Now) -> None:
    """From the first member on, only members may book the project. Adding a member again changes nothing."""
    await tx.write(projects.add_member, project_id, user_id, at=now)


@admin_router.delete(
    "/{project_id}/members/{user_id}",
    summary="Remove a member",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, ProjectNotFound, UserNotFound),
)
async def remove_project_member(project_id: PathId, user_id: PathId, tx: AdminTransaction, now: Now) -> None:
    """Once the last member is gone, everyone may book the project again."""
    await tx.write(projects.remove_member, project_id, user_id, at=now)

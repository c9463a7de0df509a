"""People, as admins run them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.dependencies.authentication import AdminTransaction
from app.api.dependencies.parameters import Now, PageDep, PathId, RuntimeDep
from app.api.http.problems import error_responses
from app.api.v1.paths import USER_PATH
from app.api.v1.shared_errors import ROLE_ERRORS
from app.core.security.passwords import LoginQueueFull, WeakPassword
from app.models.users import Role
from app.schemas.types import MAX_ID, SearchText
from app.schemas.users.user import AccountRead, UserCreate, UserFilter, UserUpdate
from app.services.access.errors import UserNotFound
from app.services.users import administration
from app.services.users.errors import (
    EmailTaken,
    HasReports,
    LastAdmin,
    ManagerCycle,
    ManagerInactive,
    ManagerInvalid,
    ManagerIsSelf,
    ManagerNotFound,
)

router = APIRouter(prefix="/admin/users", tags=["admin: users"])
MANAGER_ERRORS = (ManagerNotFound, ManagerInvalid, ManagerInactive)


@router.post(
    "",
    summary="Add a person",
    status_code=201,
    responses=error_responses(*ROLE_ERRORS, *MANAGER_ERRORS, EmailTaken, LoginQueueFull, WeakPassword),
)
async def create_user(body: UserCreate, tx: AdminTransaction, runtime: RuntimeDep, now: Now) -> AccountRead:
    """With a password they can log in at once; without one they need a link. E-mails are unique in any case."""
    user = await administration.add_user(tx, runtime.hasher, body, at=now)
    return AccountRead.model_validate(user)


@router.get("", summary="List people", response_model=list[AccountRead], responses=error_responses(*ROLE_ERRORS))
async def list_users(
    tx: AdminTransaction,
    page: PageDep,
    search: Annotated[SearchText | None, Query(description="Part of a name or e-mail, in any case.")] = None,
    role: Annotated[Role | None, Query(description="Only people with this role.")] = None,
    is_active: Annotated[bool | None, Query(description="Only the active, or only the deactivated.")] = None,
    manager_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Direct reports of this person.")] = None,
) -> Response:
    """By id. `X-Total-Count` says how many fit in all, `Link` where the next page is."""
    filters = UserFilter(search=search, role=role, is_active=is_active, manager_id=manager_id)
    users_json, total = await tx.read(administration.list_page, filters, skip=page.skip, limit=page.limit)
    response = Response(users_json, media_type="application/json")
    page.set_headers(response, total)
    return response


@router.get(USER_PATH, summary="Read a person", responses=error_responses(*ROLE_ERRORS, UserNotFound))
async def get_user(user_id: PathId, tx: AdminTransaction) -> AccountRead:
    """One person, active or not."""
    return AccountRead.model_validate(await tx.read(administration.get, user_id))


@router.patch(
    USER_PATH,
    summary="Change a person",
    responses=error_responses(*ROLE_ERRORS, UserNotFound, EmailTaken, LastAdmin, HasReports),
)
async def update_user(user_id: PathId, body: UserUpdate, tx: AdminTransaction, now: Now) -> AccountRead:
    """E-mail, names, time zone, role. A role counts from the person's next request."""
    return AccountRead.model_validate(await tx.write(administration.change, user_id, body, at=now))


@router.put(
    "/{user_id}/deactivate",
    summary="Deactivate a person",
    responses=error_responses(*ROLE_ERRORS, UserNotFound, LastAdmin),
)
async def deactivate_user(user_id: PathId, tx: AdminTransaction, now: Now) -> AccountRead:
    """Their tokens stop working at once; an open entry is closed at this instant."""
    return AccountRead.model_validate(await tx.write(administration.deactivate, user_id, at=now))


@router.put("/{user_id}/activate", summary="Activate a person", responses=error_responses(*ROLE_ERRORS, UserNotFound))
async def activate_user(user_id: PathId, tx: AdminTransaction, now: Now) -> AccountRead:
    """They can log in again."""
    return AccountRead.model_validate(await tx.write(administration.activate, user_id, at=now))


@router.put(
    "/{employee_id}/assign-manager",
    summary="Assign a manager",
    responses=error_responses(*ROLE_ERRORS, UserNotFound, *MANAGER_ERRORS, ManagerIsSelf, ManagerCycle),
)
async def assign_manager(
    employee_id: PathId,
    manager_id: Annotated[int, Query(ge=1, le=MAX_ID, description="The manager's id.", examples=[1])],
    tx: AdminTransaction,
    now: Now,
) -> AccountRead:
    """Put a person into the team of an active manager or admin. The manager sees their hours at once."""
    return AccountRead.model_validate(await tx.write(administration.assign_manager, employee_id, manager_id, at=now))


@router.delete(
    "/{user_id}/manager", summary="Remove the manager", responses=error_responses(*ROLE_ERRORS, UserNotFound)
)
async def remove_manager(user_id: PathId, tx: AdminTransaction, now: Now) -> AccountRead:
    """Leave a person without a manager: only admins see their hours then."""
    return AccountRead.model_validate(await tx.write(administration.remove_manager, user_id, at=now))

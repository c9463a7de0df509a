"""Administration of users."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.dependencies.authentication import AdminTransaction, InteractiveAdminTransaction
from app.api.dependencies.parameters import Now, PageDep, PathId, RuntimeDep
from app.api.http.response_headers import set_location
from app.api.openapi.error_responses import error_responses
from app.api.v1.paths import USER_PATH
from app.api.v1.shared_errors import ROLE_ERRORS
from app.core.pagination import InvalidCursor
from app.core.security.passwords import LoginQueueFull, WeakPassword
from app.models.users import Role
from app.schemas.types import MAX_ID, SearchText
from app.schemas.users.user import DeactivatedUser, UserCreate, UserFilter, UserUpdate, UserWithActions
from app.services.access.errors import UserNotFound
from app.services.period_locks import TimesheetLocked
from app.services.users import administration, queries
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
    summary="Create a user",
    status_code=201,
    responses=error_responses(*ROLE_ERRORS, *MANAGER_ERRORS, EmailTaken, LoginQueueFull, WeakPassword),
)
async def create_user(
    body: UserCreate, tx: AdminTransaction, runtime: RuntimeDep, now: Now, request: Request, response: Response
) -> UserWithActions:
    """Create a user. Without a password, the user needs a password link to log in.

    E-mail addresses are unique, ignoring case. API tokens cannot set a password or create an admin.
    """
    user = await administration.add_user(tx, runtime.hasher, body, at=now)
    set_location(request, response, user.id)
    return user


@router.get(
    "",
    summary="List users",
    response_model=list[UserWithActions],
    responses=error_responses(*ROLE_ERRORS, InvalidCursor),
)
async def list_users(
    tx: AdminTransaction,
    now: Now,
    page: PageDep,
    search: Annotated[SearchText | None, Query(description="Part of a name or e-mail address, ignoring case.")] = None,
    role: Annotated[Role | None, Query(description="Only users with this role.")] = None,
    is_active: Annotated[bool | None, Query(description="`true`: only active. `false`: only deactivated.")] = None,
    manager_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only direct reports of this user.")] = None,
    manager_is_active: Annotated[
        bool | None, Query(description="`true`: only users with an active manager. `false`: with a deactivated one.")
    ] = None,
) -> Response:
    """Users sorted by id. `X-Total-Count` has the total, `Link` the next page."""
    filters = UserFilter(search, role, is_active, manager_id, manager_is_active)
    users_json, users = await tx.read(queries.list_page, filters, page.ids, at=now)
    response = Response(users_json, media_type="application/json")
    page.set_headers(response, users)
    return response


@router.get(USER_PATH, summary="Get a user", responses=error_responses(*ROLE_ERRORS, UserNotFound))
async def get_user(user_id: PathId, tx: AdminTransaction, now: Now) -> UserWithActions:
    """One user, active or deactivated."""
    return await tx.read(queries.get_with_actions, user_id, at=now)


@router.patch(
    USER_PATH,
    summary="Update a user",
    responses=error_responses(*ROLE_ERRORS, UserNotFound, EmailTaken, LastAdmin, HasReports, TimesheetLocked),
)
async def update_user(user_id: PathId, body: UserUpdate, tx: AdminTransaction, now: Now) -> UserWithActions:
    """Change a user's e-mail address, names, time zone or role. A new role applies from their next request on.

    API tokens cannot change an e-mail address, an admin, or a role to one with more rights.
    """
    return await tx.write(administration.change, user_id, body, at=now)


@router.put(
    "/{user_id}/deactivate",
    summary="Deactivate a user",
    responses=error_responses(*ROLE_ERRORS, UserNotFound, LastAdmin),
)
async def deactivate_user(user_id: PathId, tx: AdminTransaction, now: Now) -> DeactivatedUser:
    """Deactivate a user. Their tokens stop working immediately, and an open entry is closed.

    Direct reports of a manager keep this manager. `active_reports` says how many they are. Assign them another one.
    """
    return await tx.write(administration.deactivate, user_id, at=now)


@router.put(
    "/{user_id}/activate",
    summary="Activate a user",
    responses=error_responses(*ROLE_ERRORS, UserNotFound, TimesheetLocked),
)
async def activate_user(user_id: PathId, tx: InteractiveAdminTransaction, now: Now) -> UserWithActions:
    """Activate a user, who can then log in again."""
    return await tx.write(administration.activate, user_id, at=now)


@router.put(
    "/{employee_id}/assign-manager",
    summary="Assign a manager",
    responses=error_responses(*ROLE_ERRORS, UserNotFound, *MANAGER_ERRORS, ManagerIsSelf, ManagerCycle),
)
async def assign_manager(
    employee_id: PathId,
    manager_id: Annotated[int, Query(ge=1, le=MAX_ID, description="Id of the manager.", examples=[1])],
    tx: AdminTransaction,
    now: Now,
) -> UserWithActions:
    """Set the manager of a user to an active manager or admin. The manager sees the user's hours immediately.

    API tokens can assign users only to managers who have a password.
    """
    return await tx.write(administration.assign_manager, employee_id, manager_id, at=now)


@router.delete(
    "/{user_id}/manager", summary="Remove a user's manager", responses=error_responses(*ROLE_ERRORS, UserNotFound)
)
async def remove_manager(user_id: PathId, tx: AdminTransaction, now: Now) -> UserWithActions:
    """Leave a user without a manager. Then only admins see their hours."""
    return await tx.write(administration.remove_manager, user_id, at=now)

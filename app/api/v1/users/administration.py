"""People, as admins run them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.dependencies.authentication import Admin
from app.api.dependencies.parameters import Now, PageDep, PathId, RuntimeDep
from app.api.http.problems import raises
from app.api.v1.paths import PERSON
from app.api.v1.shared_errors import WITH_ROLE
from app.core.security.passwords import TooManyLogins, WeakPassword
from app.models.users import Role
from app.schemas.types import MAX_ID, Search
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
OF_MANAGER = (ManagerNotFound, ManagerInvalid, ManagerInactive)


@router.post(
    "",
    summary="Add a person",
    status_code=201,
    responses=raises(*WITH_ROLE, *OF_MANAGER, EmailTaken, TooManyLogins, WeakPassword),
)
async def create_user(body: UserCreate, tx: Admin, runtime: RuntimeDep, now: Now) -> AccountRead:
    """With a password they can log in at once; without one they need a link. E-mails are unique in any case."""
    person = await administration.add_user(tx, runtime.hasher, body, at=now)
    return AccountRead.model_validate(person)


@router.get("", summary="List people", response_model=list[AccountRead], responses=raises(*WITH_ROLE))
async def list_users(
    tx: Admin,
    page: PageDep,
    search: Annotated[Search | None, Query(description="Part of a name or e-mail, in any case.")] = None,
    role: Annotated[Role | None, Query(description="Only people with this role.")] = None,
    is_active: Annotated[bool | None, Query(description="Only the active, or only the deactivated.")] = None,
    manager_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Direct reports of this person.")] = None,
) -> Response:
    """By id. `X-Total-Count` says how many fit in all, `Link` where the next page is."""
    wanted = UserFilter(search=search, role=role, is_active=is_active, manager_id=manager_id)
    found, total = await tx.read(administration.page, wanted, skip=page.skip, limit=page.limit)
    answer = Response(found, media_type="application/json")
    page.describe(answer, total)
    return answer


@router.get(PERSON, summary="Read a person", responses=raises(*WITH_ROLE, UserNotFound))
async def read_user(user_id: PathId, tx: Admin) -> AccountRead:
    """One person, active or not."""
    return AccountRead.model_validate(await tx.read(administration.get, user_id))


@router.patch(
    PERSON,
    summary="Change a person",
    responses=raises(*WITH_ROLE, UserNotFound, EmailTaken, LastAdmin, HasReports),
)
async def change_user(user_id: PathId, body: UserUpdate, tx: Admin, now: Now) -> AccountRead:
    """E-mail, names, time zone, role. A role counts from the person's next request."""
    return AccountRead.model_validate(await tx.write(administration.change, user_id, body, at=now))


@router.put(
    "/{user_id}/deactivate", summary="Deactivate a person", responses=raises(*WITH_ROLE, UserNotFound, LastAdmin)
)
async def deactivate_user(user_id: PathId, tx: Admin, now: Now) -> AccountRead:
    """Their tokens stop working at once; an open entry is closed at this instant."""
    return AccountRead.model_validate(await tx.write(administration.deactivate, user_id, at=now))


@router.put("/{user_id}/activate", summary="Activate a person", responses=raises(*WITH_ROLE, UserNotFound))
async def activate_user(user_id: PathId, tx: Admin, now: Now) -> AccountRead:
    """They can log in again."""
    return AccountRead.model_validate(await tx.write(administration.activate, user_id, at=now))


@router.put(
    "/{employee_id}/assign-manager",
    summary="Assign a manager",
    responses=raises(*WITH_ROLE, UserNotFound, *OF_MANAGER, ManagerIsSelf, ManagerCycle),
)
async def assign_manager(
    employee_id: PathId,
    manager_id: Annotated[int, Query(ge=1, le=MAX_ID, description="The manager's id.", examples=[1])],
    tx: Admin,
    now: Now,
) -> AccountRead:
    """Put a person into the team of an active manager or admin. The manager sees their hours at once."""
    return AccountRead.model_validate(await tx.write(administration.assign_manager, employee_id, manager_id, at=now))


@router.delete("/{user_id}/manager", summary="Remove the manager", responses=raises(*WITH_ROLE, UserNotFound))
async def remove_manager(user_id: PathId, tx: Admin, now: Now) -> AccountRead:
    """Leave a person without a manager: only admins see their hours then."""
    return AccountRead.model_validate(await tx.write(administration.remove_manager, user_id, at=now))

"""People, as admins run them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.dependencies.parameters import (
    Admin,
    ClaimsDep,
    Now,
    PageDep,
    PathId,
    RuntimeDep,
    SessionDep,
    TransactionsDep,
)
from app.api.dependencies.transactions import TransactionRoute
from app.api.http.problems import raises
from app.api.v1.paths import PERSON
from app.api.v1.shared_errors import WITH_ROLE
from app.core.security.passwords import TooManyLogins, WeakPassword
from app.models.users import Role
from app.schemas.types import MAX_ID, Search
from app.schemas.users.user import AccountRead, UserCreate, UserFilter, UserUpdate
from app.services.access import authentication
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

router = APIRouter(prefix="/admin/users", tags=["admin: users"], route_class=TransactionRoute)
OF_MANAGER = (ManagerNotFound, ManagerInvalid, ManagerInactive)


@router.post(
    "",
    summary="Add a person",
    status_code=201,
    responses=raises(*WITH_ROLE, *OF_MANAGER, EmailTaken, TooManyLogins, WeakPassword),
)
async def create_user(
    body: UserCreate, claims: ClaimsDep, transactions: TransactionsDep, runtime: RuntimeDep, now: Now
) -> AccountRead:
    """With a password they can log in at once; without one they need a link. E-mails are unique in any case."""
    await transactions.read(lambda session: authentication.admin(session, claims))  # nobody else makes us hash
    password_hash = await runtime.hasher.hash(body.password)
    person = await transactions.write(
        lambda session: administration.create_with_password(
            session, authentication.admin(session, claims), body, password_hash=password_hash, at=now
        )
    )
    return AccountRead.model_validate(person)


@router.get("", summary="List people", response_model=list[AccountRead], responses=raises(*WITH_ROLE))
def list_users(
    session: SessionDep,
    actor: Admin,
    page: PageDep,
    search: Annotated[Search | None, Query(description="Part of a name or e-mail, in any case.")] = None,
    role: Annotated[Role | None, Query(description="Only people with this role.")] = None,
    is_active: Annotated[bool | None, Query(description="Only the active, or only the deactivated.")] = None,
    manager_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Direct reports of this person.")] = None,
) -> Response:
    """By id. `X-Total-Count` says how many fit in all, `Link` where the next page is."""
    wanted = UserFilter(search=search, role=role, is_active=is_active, manager_id=manager_id)
    found, total = administration.page(session, wanted, skip=page.skip, limit=page.limit)
    answer = Response(found, media_type="application/json")
    page.describe(answer, total)
    return answer


@router.get(PERSON, summary="Read a person", responses=raises(*WITH_ROLE, UserNotFound))
def read_user(user_id: PathId, session: SessionDep, actor: Admin) -> AccountRead:
    """One person, active or not."""
    return AccountRead.model_validate(administration.get(session, user_id))


@router.patch(
    PERSON,
    summary="Change a person",
    responses=raises(*WITH_ROLE, UserNotFound, EmailTaken, LastAdmin, HasReports),
)
def change_user(user_id: PathId, body: UserUpdate, session: SessionDep, actor: Admin, now: Now) -> AccountRead:
    """E-mail, names, time zone, role. A role counts from the person's next request."""
    return AccountRead.model_validate(administration.change(session, actor, user_id, body, at=now))


@router.put(
    "/{user_id}/deactivate", summary="Deactivate a person", responses=raises(*WITH_ROLE, UserNotFound, LastAdmin)
)
def deactivate_user(user_id: PathId, session: SessionDep, actor: Admin, now: Now) -> AccountRead:
    """Their tokens stop working at once; an open entry is closed at this instant."""
    return AccountRead.model_validate(administration.deactivate(session, actor, user_id, at=now))


@router.put("/{user_id}/activate", summary="Activate a person", responses=raises(*WITH_ROLE, UserNotFound))
def activate_user(user_id: PathId, session: SessionDep, actor: Admin, now: Now) -> AccountRead:
    """They can log in again."""
    return AccountRead.model_validate(administration.activate(session, actor, user_id, at=now))


@router.put(
    "/{employee_id}/assign-manager",
    summary="Assign a manager",
    responses=raises(*WITH_ROLE, UserNotFound, *OF_MANAGER, ManagerIsSelf, ManagerCycle),
)
def assign_manager(
    employee_id: PathId,
    manager_id: Annotated[int, Query(ge=1, le=MAX_ID, description="The manager's id.", examples=[1])],
    session: SessionDep,
    actor: Admin,
    now: Now,
) -> AccountRead:
    """Put a person into the team of an active manager or admin. The manager sees their hours at once."""
    return AccountRead.model_validate(administration.assign_manager(session, actor, employee_id, manager_id, at=now))


@router.delete("/{user_id}/manager", summary="Remove the manager", responses=raises(*WITH_ROLE, UserNotFound))
def remove_manager(user_id: PathId, session: SessionDep, actor: Admin, now: Now) -> AccountRead:
    """Leave a person without a manager: only admins see their hours then."""
    return AccountRead.model_validate(administration.remove_manager(session, actor, user_id, at=now))

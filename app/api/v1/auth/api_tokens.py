"""API tokens: one's own, and everybody's for admins."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.dependencies.parameters import Admin, CurrentUser, Now, PageDep, PathId, SessionDep
from app.api.dependencies.transactions import TransactionRoute
from app.api.http.problems import raises
from app.api.v1.shared_errors import SIGNED_IN, WITH_ROLE
from app.schemas.auth.api_token import ApiTokenCreate, ApiTokenCreated, ApiTokenRead
from app.schemas.types import MAX_ID
from app.services.access.errors import RoleNeeded
from app.services.auth import api_tokens
from app.services.auth.errors import ApiTokenNotFound, ExpiryOutOfRange, TooManyApiTokens

router = APIRouter(prefix="/auth/api-tokens", tags=["auth"], route_class=TransactionRoute)
admin_router = APIRouter(prefix="/admin/api-tokens", tags=["admin: users"], route_class=TransactionRoute)


@router.post(
    "",
    summary="Make an API token",
    status_code=201,
    responses=raises(*SIGNED_IN, RoleNeeded, ExpiryOutOfRange, TooManyApiTokens),
)
def create_api_token(body: ApiTokenCreate, session: SessionDep, actor: CurrentUser, now: Now) -> ApiTokenCreated:
    """For a script or a terminal. It can do what its scopes say, and never more than you; it is shown this once."""
    return api_tokens.create(session, actor, body, at=now)


@router.get("", summary="My API tokens", responses=raises(*SIGNED_IN))
def list_api_tokens(session: SessionDep, actor: CurrentUser) -> list[ApiTokenRead]:
    """Yours, expired ones too, with their last use."""
    return api_tokens.own(session, actor)


@router.delete(
    "/{token_id}", summary="Revoke an API token", status_code=204, responses=raises(*SIGNED_IN, ApiTokenNotFound)
)
def revoke_api_token(token_id: PathId, session: SessionDep, actor: CurrentUser, now: Now) -> None:
    """It stops working at once."""
    api_tokens.revoke_own(session, actor, token_id, at=now)


@admin_router.get("", summary="Everybody's API tokens", responses=raises(*WITH_ROLE))
def list_all_api_tokens(
    session: SessionDep,
    actor: Admin,
    page: PageDep,
    response: Response,
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only this person's.")] = None,
) -> list[ApiTokenRead]:
    """By id, with their scopes and last use. `X-Total-Count` says how many there are in all."""
    found, total = api_tokens.page(session, user_id, skip=page.skip, limit=page.limit)
    page.describe(response, total)
    return found


@admin_router.delete(
    "/{token_id}",
    summary="Revoke anybody's API token",
    status_code=204,
    responses=raises(*WITH_ROLE, ApiTokenNotFound),
)
def revoke_any_api_token(token_id: PathId, session: SessionDep, actor: Admin, now: Now) -> None:
    """It stops working at once, whoever made it."""
    api_tokens.revoke(session, actor, token_id, at=now)

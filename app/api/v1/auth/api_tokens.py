"""API tokens: one's own, and everybody's for admins."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import Admin, UserTransactions, as_user
from app.api.dependencies.parameters import Now, PageDep, PathId
from app.api.http.problems import raises
from app.api.v1.shared_errors import SIGNED_IN, WITH_ROLE
from app.schemas.auth.api_token import ApiTokenCreate, ApiTokenCreated, ApiTokenRead
from app.schemas.types import MAX_ID
from app.services.access.errors import RoleNeeded
from app.services.auth import api_tokens
from app.services.auth.errors import ApiTokenNotFound, ExpiryOutOfRange, TooManyApiTokens

router = APIRouter(prefix="/auth/api-tokens", tags=["auth"])
admin_router = APIRouter(prefix="/admin/api-tokens", tags=["admin: users"])
User = Annotated[UserTransactions, Security(as_user)]


@router.post(
    "",
    summary="Make an API token",
    status_code=201,
    responses=raises(*SIGNED_IN, RoleNeeded, ExpiryOutOfRange, TooManyApiTokens),
)
async def create_api_token(body: ApiTokenCreate, tx: User, now: Now) -> ApiTokenCreated:
    """For a script or a terminal. It can do what its scopes say, and never more than you; it is shown this once."""
    return await tx.write(api_tokens.create, body, at=now)


@router.get("", summary="My API tokens", responses=raises(*SIGNED_IN))
async def list_api_tokens(tx: User) -> list[ApiTokenRead]:
    """Yours, expired ones too, with their last use."""
    return await tx.read(api_tokens.own)


@router.delete(
    "/{token_id}", summary="Revoke an API token", status_code=204, responses=raises(*SIGNED_IN, ApiTokenNotFound)
)
async def revoke_api_token(token_id: PathId, tx: User, now: Now) -> None:
    """It stops working at once."""
    await tx.write(api_tokens.revoke_own, token_id, at=now)


@admin_router.get("", summary="Everybody's API tokens", responses=raises(*WITH_ROLE))
async def list_all_api_tokens(
    tx: Admin,
    page: PageDep,
    response: Response,
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only this person's.")] = None,
) -> list[ApiTokenRead]:
    """By id, with their scopes and last use. `X-Total-Count` says how many there are in all."""
    found, total = await tx.read(api_tokens.page, user_id, skip=page.skip, limit=page.limit)
    page.describe(response, total)
    return found


@admin_router.delete(
    "/{token_id}",
    summary="Revoke anybody's API token",
    status_code=204,
    responses=raises(*WITH_ROLE, ApiTokenNotFound),
)
async def revoke_any_api_token(token_id: PathId, tx: Admin, now: Now) -> None:
    """It stops working at once, whoever made it."""
    await tx.write(api_tokens.revoke, token_id, at=now)

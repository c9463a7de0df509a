"""API tokens of the caller, and of all users for admins."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, Security

from app.api.dependencies.authentication import (
    AdminTransaction,
    ClaimsTransactionRunner,
    RevokingTransaction,
    UserTransactionRunner,
    require_claims,
    require_user,
)
from app.api.dependencies.parameters import ClientDep, Now, PageDep, PathId, RuntimeDep
from app.api.http.response_headers import set_location
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS, RECENT_LOGIN_ERRORS, ROLE_ERRORS
from app.core.pagination import InvalidCursor
from app.schemas.auth.api_token import ApiTokenCreate, ApiTokenCreated, ApiTokenRead
from app.schemas.types import MAX_ID
from app.services.access.errors import RoleRequired
from app.services.auth import api_tokens
from app.services.auth.errors import ApiTokenNotFound, ExpiryOutOfRange, TooManyApiTokens

router = APIRouter(prefix="/auth/api-tokens", tags=["auth"])
admin_router = APIRouter(prefix="/admin/api-tokens", tags=["admin: users"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user)]


@router.post(
    "",
    summary="Create an API token",
    status_code=201,
    responses=error_responses(*AUTH_ERRORS, *RECENT_LOGIN_ERRORS, RoleRequired, ExpiryOutOfRange, TooManyApiTokens),
)
async def create_api_token(
    body: ApiTokenCreate,
    tx: Annotated[ClaimsTransactionRunner, Security(require_claims)],
    client: ClientDep,
    runtime: RuntimeDep,
    now: Now,
    request: Request,
    response: Response,
) -> ApiTokenCreated:
    """Create a token for a script or a terminal. It can do what its scopes allow, and never more than you.

    The token is shown only once. Send `current_password`, unless you logged in within 5 minutes.
    """
    token = await api_tokens.create_api_token(tx, runtime.hasher, body, client, at=now)
    set_location(request, response, token.id)
    return token


@router.get("", summary="List my API tokens", responses=error_responses(*AUTH_ERRORS))
async def list_my_api_tokens(tx: UserTransaction) -> list[ApiTokenRead]:
    """Your API tokens, including expired ones, with their last use."""
    return await tx.read(api_tokens.list_own)


@router.get(
    "/{token_id}", summary="Get one of my API tokens", responses=error_responses(*AUTH_ERRORS, ApiTokenNotFound)
)
async def get_my_api_token(token_id: PathId, tx: UserTransaction) -> ApiTokenRead:
    """One of your API tokens with its scopes and last use, but without its text."""
    return await tx.read(api_tokens.get_own, token_id)


@router.delete(
    "/{token_id}",
    summary="Revoke one of my API tokens",
    status_code=204,
    responses=error_responses(*AUTH_ERRORS, ApiTokenNotFound),
)
async def revoke_my_api_token(token_id: PathId, tx: RevokingTransaction, now: Now) -> None:
    """Revoke one of your API tokens. It stops working immediately."""
    await tx.write(api_tokens.revoke_own, token_id, at=now)


@admin_router.get("", summary="List API tokens", responses=error_responses(*ROLE_ERRORS, InvalidCursor))
async def list_api_tokens(
    tx: AdminTransaction,
    page: PageDep,
    response: Response,
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only tokens of this user.")] = None,
) -> list[ApiTokenRead]:
    """API tokens of all users with their scopes and last use, sorted by id. `X-Total-Count` has the total."""
    tokens = await tx.read(api_tokens.list_page, user_id, page.ids)
    page.set_headers(response, tokens)
    return list(tokens.rows)


@admin_router.delete(
    "/{token_id}",
    summary="Revoke an API token",
    status_code=204,
    responses=error_responses(*ROLE_ERRORS, ApiTokenNotFound),
)
async def revoke_api_token(token_id: PathId, tx: AdminTransaction, now: Now) -> None:
    """Revoke an API token of any user. It stops working immediately."""
    await tx.write(api_tokens.revoke, token_id, at=now)

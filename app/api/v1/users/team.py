"""Users whom the caller may see."""

from typing import Annotated

from fastapi import APIRouter, Response, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_user
from app.api.dependencies.parameters import PageDep
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS
from app.core.pagination import InvalidCursor
from app.core.security.access_tokens import TokenScope
from app.schemas.users.user import UserRead
from app.services.users import queries

router = APIRouter(prefix="/team", tags=["team"])
UserTransaction = Annotated[
    UserTransactionRunner, Security(require_user, scopes=[TokenScope.entries_read, TokenScope.reports_read])
]


@router.get("", summary="List users whom I may see", responses=error_responses(*AUTH_ERRORS, InvalidCursor))
async def list_team_members(tx: UserTransaction, page: PageDep, response: Response) -> list[UserRead]:
    """The users whom you may see: yourself, as a manager also direct and indirect reports, as an admin all users."""
    users = await tx.read(queries.list_team, page.ids)
    page.set_headers(response, users)
    return [UserRead.model_validate(user) for user in users.rows]

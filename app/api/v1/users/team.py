"""The people whom the caller may see."""

from typing import Annotated

from fastapi import APIRouter, Response, Security

from app.api.dependencies.authentication import UserTransactions, as_user
from app.api.dependencies.parameters import PageDep
from app.api.http.problems import raises
from app.api.v1.shared_errors import SIGNED_IN
from app.core.security.access_tokens import TokenScope
from app.schemas.users.user import UserRead
from app.services.users import administration

router = APIRouter(prefix="/team", tags=["team"])
User = Annotated[UserTransactions, Security(as_user, scopes=[TokenScope.entries_read, TokenScope.reports_read])]


@router.get("", summary="People I may see", responses=raises(*SIGNED_IN))
async def list_team(tx: User, page: PageDep, response: Response) -> list[UserRead]:
    """Yourself; as a manager also your team, direct and indirect; as an admin everyone."""
    found, total = await tx.read(administration.team, skip=page.skip, limit=page.limit)
    page.describe(response, total)
    return [UserRead.model_validate(person) for person in found]

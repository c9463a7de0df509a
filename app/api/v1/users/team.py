"""The people whom the caller may see."""

from fastapi import APIRouter, Response

from app.api.dependencies.parameters import CurrentUser, PageDep, SessionDep
from app.api.dependencies.transactions import TransactionRoute
from app.api.http.problems import raises
from app.api.v1.shared_errors import SIGNED_IN
from app.schemas.users.user import UserRead
from app.services.users import administration

router = APIRouter(prefix="/team", tags=["team"], route_class=TransactionRoute)


@router.get("", summary="People I may see", responses=raises(*SIGNED_IN))
def list_team(session: SessionDep, actor: CurrentUser, page: PageDep, response: Response) -> list[UserRead]:
    """Yourself; as a manager also your team, direct and indirect; as an admin everyone."""
    found, total = administration.team(session, actor, skip=page.skip, limit=page.limit)
    page.describe(response, total)
    return [UserRead.model_validate(person) for person in found]

"""Who is clocked in."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security
from pydantic import TypeAdapter

from app.api.dependencies.authentication import UserTransactions, as_user
from app.api.dependencies.parameters import Now, StretchDep, as_of
from app.api.http.problems import raises
from app.api.v1.shared_errors import SIGNED_IN
from app.core.pagination import BadCursor
from app.core.security.access_tokens import TokenScope
from app.schemas.reports.presence import Presence, PresenceFilter
from app.schemas.types import MAX_ID
from app.services.reports import presence

router = APIRouter(prefix="/reports", tags=["reports"])
User = Annotated[UserTransactions, Security(as_user, scopes=[TokenScope.reports_read])]
_present = TypeAdapter(list[Presence])


@router.get(
    "/presence",
    summary="Who is clocked in",
    response_model=list[Presence],
    responses=raises(*SIGNED_IN, BadCursor),
)
async def read_presence(
    tx: User,
    now: Now,
    stretch: StretchDep,
    team_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only whom this manager manages.")] = None,
    project_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only on this project.")] = None,
) -> Response:
    """You; as a manager also everyone below you, as an admin everyone: whose clock runs now, and for how long.

    Entries that need review first, then since when, oldest first. `Link` says where the next page is.
    """
    wanted = PresenceFilter(team_id, project_id)
    found, next_cursor = await tx.report(presence.page, wanted, cursor=stretch.cursor, limit=stretch.limit, at=now)
    answer = Response(_present.dump_json(found), media_type="application/json")
    stretch.describe(answer, next_cursor)
    as_of(answer, now)
    return answer

"""Who is clocked in."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security
from pydantic import TypeAdapter

from app.api.dependencies.authentication import UserTransactionRunner, require_user
from app.api.dependencies.parameters import CursorPageDep, Now, set_as_of
from app.api.http.problems import error_responses
from app.api.v1.shared_errors import AUTH_ERRORS
from app.core.pagination import InvalidCursor
from app.core.security.access_tokens import TokenScope
from app.schemas.reports.presence import Presence, PresenceFilter
from app.schemas.types import MAX_ID
from app.services.reports import presence

router = APIRouter(prefix="/reports", tags=["reports"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.reports_read])]
_PRESENCE_LIST = TypeAdapter(list[Presence])


@router.get(
    "/presence",
    summary="Who is clocked in",
    response_model=list[Presence],
    responses=error_responses(*AUTH_ERRORS, InvalidCursor),
)
async def list_clocked_in_users(
    tx: UserTransaction,
    now: Now,
    page: CursorPageDep,
    team_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only whom this manager manages.")] = None,
    project_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only on this project.")] = None,
) -> Response:
    """You; as a manager also everyone below you, as an admin everyone: whose clock runs now, and for how long.

    Entries that need review first, then since when, oldest first. `Link` says where the next page is.
    """
    filters = PresenceFilter(team_id, project_id)
    rows, next_cursor = await tx.report(presence.list_clocked_in, filters, cursor=page.cursor, limit=page.limit, at=now)
    response = Response(_PRESENCE_LIST.dump_json(rows), media_type="application/json")
    page.set_headers(response, next_cursor)
    set_as_of(response, now)
    return response

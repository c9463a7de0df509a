"""The users who are clocked in."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security
from pydantic import TypeAdapter

from app.api.dependencies.authentication import UserTransactionRunner, require_user
from app.api.dependencies.parameters import CursorPageDep, Now, set_as_of
from app.api.openapi.error_responses import error_responses
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
    summary="List users who are clocked in",
    response_model=list[Presence],
    responses=error_responses(*AUTH_ERRORS, InvalidCursor),
)
async def list_clocked_in_users(
    tx: UserTransaction,
    now: Now,
    page: CursorPageDep,
    team_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only direct reports of this manager.")] = None,
    project_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only entries on this project.")] = None,
) -> Response:
    """The open entries that you may see, with their users and elapsed time.

    You see your own entry. As a manager you also see those of your direct and indirect reports, and as an admin all
    entries. Entries that need review come first, then the entry with the earliest start. `Link` has the next page.
    """
    filters = PresenceFilter(team_id, project_id)
    rows, next_cursor = await tx.report(presence.list_clocked_in, filters, cursor=page.cursor, limit=page.limit, at=now)
    response = Response(_PRESENCE_LIST.dump_json(rows), media_type="application/json")
    page.set_headers(response, next_cursor)
    set_as_of(response, now)
    return response

"""The audit log, for admins."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.dependencies.authentication import AdminTransaction
from app.api.dependencies.parameters import CursorPageDep, Now, OptionalDateRange, set_as_of
from app.api.openapi.error_responses import error_responses
from app.api.v1.shared_errors import PERIOD_ERRORS, ROLE_ERRORS
from app.core.pagination import InvalidCursor
from app.schemas.audit import ActionFilter, AuditEventRead, EventFilter, ObjectTypeFilter
from app.schemas.types import MAX_ENTRY_ID, MAX_ID
from app.services.audit import queries

router = APIRouter(prefix="/admin/audit", tags=["admin: audit"])


@router.get(
    "",
    summary="List audit events",
    response_model=list[AuditEventRead],
    responses=error_responses(*ROLE_ERRORS, *PERIOD_ERRORS, InvalidCursor),
)
async def list_audit_events(
    tx: AdminTransaction,
    page: CursorPageDep,
    period: OptionalDateRange,
    now: Now,
    subject_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only events that concern this user.")] = None,
    actor_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only events that this user caused.")] = None,
    action: Annotated[ActionFilter | None, Query(description="Only events with this action.")] = None,
    object_type: Annotated[
        ObjectTypeFilter | None, Query(description="Only events about objects of this type.")
    ] = None,
    object_id: Annotated[
        int | None, Query(ge=1, le=MAX_ENTRY_ID, description="Only events about the object with this id.")
    ] = None,
) -> Response:
    """Changes, logins, rejected logins and exports, newest first. Days are in `time_zone`, or in UTC if omitted."""
    filters = EventFilter(
        subject_id=subject_id, actor_id=actor_id, action=action, object_type=object_type, object_id=object_id
    )
    body, next_cursor = await tx.read(queries.list_page, filters, period, cursor=page.cursor, limit=page.limit)
    response = Response(body, media_type="application/json")
    page.set_headers(response, next_cursor)
    set_as_of(response, now)
    return response

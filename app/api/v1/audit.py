"""The record, for admins."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.dependencies.authentication import Admin
from app.api.dependencies.parameters import AnyDateRange, Now, StretchDep, as_of
from app.api.http.problems import raises
from app.api.v1.shared_errors import OF_PERIOD, WITH_ROLE
from app.core.pagination import BadCursor
from app.schemas.audit import ActionName, EventFilter, EventRead, ObjectType
from app.schemas.types import MAX_ENTRY_ID, MAX_ID
from app.services.audit import queries

router = APIRouter(prefix="/admin/audit", tags=["admin: audit"])


@router.get("", summary="Read the record", responses=raises(*WITH_ROLE, *OF_PERIOD, BadCursor))
async def list_events(
    tx: Admin,
    stretch: StretchDep,
    period: AnyDateRange,
    now: Now,
    response: Response,
    subject_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only what concerns this person.")] = None,
    actor_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only what this person did.")] = None,
    action: Annotated[ActionName | None, Query(description="Only this kind of event.")] = None,
    object_type: Annotated[ObjectType | None, Query(description="Only what happened to things of this kind.")] = None,
    object_id: Annotated[int | None, Query(ge=1, le=MAX_ENTRY_ID, description="Only what happened to it.")] = None,
) -> list[EventRead]:
    """Every change, login, refused login and export, newest first. Days are days of `time_zone`, or of UTC."""
    wanted = EventFilter(
        subject_id=subject_id, actor_id=actor_id, action=action, object_type=object_type, object_id=object_id
    )
    found, next_cursor = await tx.read(queries.page, wanted, period, cursor=stretch.cursor, limit=stretch.limit)
    stretch.describe(response, next_cursor)
    as_of(response, now)
    return found

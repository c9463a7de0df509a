"""Lists of entries, single entries and their history."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import UserTransactionRunner, require_user
from app.api.dependencies.parameters import (
    CursorPageDep,
    DateRange,
    Now,
    OptionalDateRange,
    PathEntryId,
    set_as_of,
    with_etag,
)
from app.api.dependencies.report_parameters import AttributionQuery
from app.api.dependencies.streaming import json_response
from app.api.openapi.error_responses import error_responses
from app.api.v1.paths import ENTRY_PATH
from app.api.v1.shared_errors import AUTH_ERRORS, PERIOD_ERRORS, STREAM_ERRORS
from app.core.pagination import InvalidCursor
from app.core.security.access_tokens import TokenScope
from app.schemas.audit import TimeEntryHistoryItem
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import EntryFilter, TimeEntryWithActions, TimeEntryWithProject
from app.schemas.types import MAX_ID, SearchText
from app.services.time_entries import editing, entries, own_entries
from app.services.time_entries.errors import EntryNotFound
from app.services.time_entries.history import list_history, write_history

router = APIRouter(prefix="/time-entries", tags=["time entries"])
UserTransaction = Annotated[UserTransactionRunner, Security(require_user, scopes=[TokenScope.entries_read])]


@router.get(
    "/current",
    summary="Get my open entry",
    response_model=TimeEntryWithProject,
    responses=error_responses(*AUTH_ERRORS) | {204: {"description": "You are not clocked in."}},
)
async def get_my_open_entry(tx: UserTransaction, now: Now, response: Response) -> TimeEntryWithProject | Response:
    """Your open entry with its project, or 204 if you are not clocked in."""
    return with_etag(response, await tx.read(entries.get_open, at=now)) or Response(status_code=204)


@router.get(
    "/me",
    summary="List my entries",
    response_model=list[TimeEntryWithProject],
    responses=error_responses(*AUTH_ERRORS, *PERIOD_ERRORS, *STREAM_ERRORS),
)
async def list_my_entries(
    tx: UserTransaction,
    period: DateRange,
    now: Now,
    attribution: AttributionQuery = Attribution.at_start,
) -> Response:
    """Your entries in the period, newest first. Days are in each entry's time zone, or in `time_zone`.

    With `attribution=split`, each item is the segment of an entry inside one local day, so an entry may occur several
    times.
    """
    body = await tx.read(entries.list_own, period, attribution=attribution, at=now)
    response = await json_response(
        tx,
        body,
        lambda session, actor, out: own_entries.write_json(
            session, actor, period, out, attribution=attribution, at=now
        ),
    )
    set_as_of(response, now)
    return response


@router.get(
    "",
    summary="List entries that I may see",
    response_model=list[TimeEntryWithActions],
    responses=error_responses(*AUTH_ERRORS, *PERIOD_ERRORS, InvalidCursor),
)
async def list_entries(
    tx: UserTransaction,
    now: Now,
    page: CursorPageDep,
    period: OptionalDateRange,
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only entries of this user.")] = None,
    project_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only entries on this project.")] = None,
    open: Annotated[bool | None, Query(description="`true`: only open entries. `false`: only closed ones.")] = None,
    needs_review: Annotated[
        bool | None, Query(description="`true`: only entries that need review. `false`: only the others.")
    ] = None,
    search: Annotated[
        SearchText | None, Query(description="Part of the description, in any case and Unicode spelling.")
    ] = None,
    can: Annotated[bool, Query(description="Also return the actions that you may take on each entry.")] = False,
) -> Response:
    """Your own entries, newest first. As a manager you also see those of your direct and indirect reports, and as an
    admin all.

    `Link` has the next page. New entries do not shift the following pages.
    """
    filters = EntryFilter(user_id=user_id, project_id=project_id, open=open, needs_review=needs_review, search=search)
    body, next_cursor = await tx.report(
        editing.dump_visible, filters, period, cursor=page.cursor, limit=page.limit, can=can, at=now
    )
    response = Response(body, media_type="application/json")
    page.set_headers(response, next_cursor)
    set_as_of(response, now)
    return response


@router.get(ENTRY_PATH, summary="Get an entry", responses=error_responses(*AUTH_ERRORS, EntryNotFound))
async def get_entry(entry_id: PathEntryId, tx: UserTransaction, now: Now, response: Response) -> TimeEntryWithActions:
    """One entry with its project, and in `can` the actions that you may take now. When you change it, send its `ETag`
    as `If-Match`."""
    return with_etag(response, await tx.read(editing.get, entry_id, at=now))


@router.get(
    f"{ENTRY_PATH}/history",
    summary="Get an entry's history",
    response_model=list[TimeEntryHistoryItem],
    responses=error_responses(*AUTH_ERRORS, *STREAM_ERRORS, EntryNotFound),
)
async def get_entry_history(entry_id: PathEntryId, tx: UserTransaction) -> Response:
    """All events of an entry, oldest first, with actor, time and reason. A deleted entry has a history too."""
    body = await tx.read(list_history, entry_id)
    return await json_response(tx, body, lambda session, actor, out: write_history(session, actor, entry_id, out))

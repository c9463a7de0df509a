"""Read entries: one's own, those one may see, and what happened to them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from app.api.dependencies.authentication import UserTransactions, as_user
from app.api.dependencies.parameters import AnyDateRange, DateRange, Now, PathEntryId, StretchDep, as_of, tagged
from app.api.dependencies.report_parameters import AttributionQuery
from app.api.http.problems import raises
from app.api.v1.paths import ENTRY
from app.api.v1.shared_errors import OF_PERIOD, SIGNED_IN
from app.core.pagination import BadCursor
from app.core.security.access_tokens import TokenScope
from app.schemas.audit import HistoryItem
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import EntryFilter, TimeEntryWithProject, as_json
from app.schemas.types import MAX_ID, Search
from app.services.time_entries import entries
from app.services.time_entries.errors import EntryNotFound
from app.services.time_entries.history import history

router = APIRouter(prefix="/time-entries", tags=["time entries"])
User = Annotated[UserTransactions, Security(as_user, scopes=[TokenScope.entries_read])]


@router.get(
    "/current",
    summary="My open entry",
    response_model=TimeEntryWithProject,
    responses=raises(*SIGNED_IN) | {204: {"description": "You are not clocked in."}},
)
async def read_current(tx: User, now: Now, response: Response) -> TimeEntryWithProject | Response:
    """The entry that is running now, with its project; 204 when the clock stands still."""
    return tagged(response, await tx.read(entries.current, at=now)) or Response(status_code=204)


@router.get(
    "/me",
    summary="My hours",
    response_model=list[TimeEntryWithProject],
    responses=raises(*SIGNED_IN, *OF_PERIOD),
)
async def read_own(
    tx: User,
    period: DateRange,
    now: Now,
    attribution: AttributionQuery = Attribution.at_start,
) -> Response:
    """Your entries that belong to the period, newest first. Days are days of each entry's zone, or of `time_zone`.

    With `attribution=split` each is the part inside one local day, so one entry may be there several times.
    """
    own = await tx.read(entries.own, period, attribution=attribution, at=now)
    answer = Response(own, media_type="application/json")
    as_of(answer, now)
    return answer


@router.get(
    "",
    summary="Entries that I may see",
    response_model=list[TimeEntryWithProject],
    responses=raises(*SIGNED_IN, *OF_PERIOD, BadCursor),
)
async def list_entries(
    tx: User,
    now: Now,
    stretch: StretchDep,
    period: AnyDateRange,
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only this person's.")] = None,
    project_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only on this project.")] = None,
    open: Annotated[bool | None, Query(description="Only those that run, or only those that ended.")] = None,
    needs_review: Annotated[
        bool | None, Query(description="Only those that a person should look at, or others.")
    ] = None,
    search: Annotated[Search | None, Query(description="Part of the description, in any case.")] = None,
) -> Response:
    """Your own; as a manager also your team's, direct and indirect; as an admin everyone's. Newest first.

    `Link` says where the next page is; entries that are added meanwhile move none.
    """
    wanted = EntryFilter(user_id=user_id, project_id=project_id, open=open, needs_review=needs_review, search=search)
    found, next_cursor = await tx.report(
        entries.page, wanted, period, cursor=stretch.cursor, limit=stretch.limit, at=now
    )
    answer = Response(as_json(found), media_type="application/json")
    stretch.describe(answer, next_cursor)
    as_of(answer, now)
    return answer


@router.get(ENTRY, summary="Read an entry", responses=raises(*SIGNED_IN, EntryNotFound))
async def read_entry(entry_id: PathEntryId, tx: User, now: Now, response: Response) -> TimeEntryWithProject:
    """One entry with its project. Its `ETag` goes into `If-Match` when you change it."""
    return tagged(response, await tx.read(entries.get, entry_id, at=now))


@router.get(f"{ENTRY}/history", summary="What happened to an entry", responses=raises(*SIGNED_IN, EntryNotFound))
async def read_history(entry_id: PathEntryId, tx: User) -> list[HistoryItem]:
    """Who changed what, when and why, oldest first; also of an entry that was deleted."""
    return await tx.read(history, entry_id)

"""Read entries: one's own, those one may see, and what happened to them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.dependencies.parameters import (
    AnyDateRange,
    CurrentUser,
    DateRange,
    Now,
    PathEntryId,
    SessionDep,
    StretchDep,
    as_of,
    tagged,
)
from app.api.dependencies.report_parameters import AttributionQuery
from app.api.dependencies.transactions import ReportRoute, TransactionRoute
from app.api.http.problems import raises
from app.api.v1.paths import ENTRY
from app.api.v1.shared_errors import OF_PERIOD, SIGNED_IN
from app.core.pagination import BadCursor
from app.schemas.audit import HistoryItem
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import EntryFilter, TimeEntryWithProject, as_json
from app.schemas.types import MAX_ID, Search
from app.services.time_entries import entries
from app.services.time_entries.errors import EntryNotFound
from app.services.time_entries.history import history

router = APIRouter(prefix="/time-entries", tags=["time entries"], route_class=TransactionRoute)
# A list over many people, or for a text that nobody wrote, may take its time: it queues with the reports.
list_router = APIRouter(prefix="/time-entries", tags=["time entries"], route_class=ReportRoute)


@router.get(
    "/current",
    summary="My open entry",
    response_model=TimeEntryWithProject,
    responses=raises(*SIGNED_IN) | {204: {"description": "You are not clocked in."}},
)
def read_current(
    session: SessionDep, actor: CurrentUser, now: Now, response: Response
) -> TimeEntryWithProject | Response:
    """The entry that is running now, with its project; 204 when the clock stands still."""
    return tagged(response, entries.current(session, actor, at=now)) or Response(status_code=204)


@router.get(
    "/me",
    summary="My hours",
    response_model=list[TimeEntryWithProject],
    responses=raises(*SIGNED_IN, *OF_PERIOD),
)
def read_own(
    session: SessionDep,
    actor: CurrentUser,
    period: DateRange,
    now: Now,
    attribution: AttributionQuery = Attribution.at_start,
) -> Response:
    """Your entries that belong to the period, newest first. Days are days of each entry's zone, or of `tz`.

    With `attribution=split` each is the part inside one local day, so one entry may be there several times.
    """
    own = entries.own(session, actor, period, attribution=attribution, at=now)
    answer = Response(own, media_type="application/json")
    as_of(answer, now)
    return answer


@list_router.get(
    "",
    summary="Entries that I may see",
    response_model=list[TimeEntryWithProject],
    responses=raises(*SIGNED_IN, *OF_PERIOD, BadCursor),
)
def list_entries(
    session: SessionDep,
    actor: CurrentUser,
    now: Now,
    stretch: StretchDep,
    period: AnyDateRange,
    user_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only this person's.")] = None,
    project_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only on this project.")] = None,
    open: Annotated[bool | None, Query(description="Only those that run, or only those that ended.")] = None,
    needs_review: Annotated[
        bool | None, Query(description="Only those that a person should look at, or others.")
    ] = None,
    text: Annotated[Search | None, Query(description="Part of the description, in any case.")] = None,
) -> Response:
    """Your own; as a manager also your team's, direct and indirect; as an admin everyone's. Newest first.

    `Link` says where the next page is; entries that are added meanwhile move none.
    """
    wanted = EntryFilter(user_id=user_id, project_id=project_id, open=open, needs_review=needs_review, text=text)
    found, next_cursor = entries.page(
        session, actor, wanted, period, cursor=stretch.cursor, limit=stretch.limit, at=now
    )
    answer = Response(as_json(found), media_type="application/json")
    stretch.describe(answer, next_cursor)
    as_of(answer, now)
    return answer


@router.get(ENTRY, summary="Read an entry", responses=raises(*SIGNED_IN, EntryNotFound))
def read_entry(
    entry_id: PathEntryId, session: SessionDep, actor: CurrentUser, now: Now, response: Response
) -> TimeEntryWithProject:
    """One entry with its project. Its `ETag` goes into `If-Match` when you change it."""
    return tagged(response, entries.get(session, actor, entry_id, at=now))


@router.get(f"{ENTRY}/history", summary="What happened to an entry", responses=raises(*SIGNED_IN, EntryNotFound))
def read_history(entry_id: PathEntryId, session: SessionDep, actor: CurrentUser) -> list[HistoryItem]:
    """Who changed what, when and why, oldest first; also of an entry that was deleted."""
    return history(session, actor, entry_id)

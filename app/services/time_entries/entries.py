"""Time entries: insert them, read one or a list, and convert rows to responses."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from pydantic_core import to_json
from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, insert, or_, select, true, tuple_

from app.core.database.session import Session
from app.core.database.text_search import contains_folded
from app.core.pagination import MAX_OWN_ROWS, decode_cursor, encode_cursor
from app.models.tables import ENTRY, PROJECT, TIMESHEET, USER
from app.models.timesheets import TimesheetStatus
from app.schemas.projects import ProjectRead
from app.schemas.reports.report import Attribution, OnlyEntries
from app.schemas.time_entries.entry import EntryFilter, TimeEntryRead, TimeEntryWithProject, dump_entries
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.calendar.attribution import in_period, split_by_day
from app.services.calendar.periods import Period, resolve, starts_within
from app.services.time_entries import own_month
from app.services.time_entries.errors import EntryNotFound

ENTRY_WITH_PROJECT = select(
    ENTRY,
    PROJECT.c.name.label("project_name"),
    PROJECT.c.is_active.label("project_is_active"),
    PROJECT.c.created_at.label("project_created_at"),
    PROJECT.c.code.label("project_code"),
).join_from(ENTRY, PROJECT, PROJECT.c.id == ENTRY.c.project_id)
_INSERT = insert(ENTRY).returning(ENTRY.c.id)
_INSERT_WITH_ID = insert(ENTRY)
_AUDITED_FIELDS = ("project_id", "start_time", "end_time", "description", "time_zone", "needs_review", "version")
EDITABLE_FIELDS = {"project_id", "start_time", "end_time", "description", "needs_review"}
EntryValues = dict[str, Any]


def get_open(session: Session, actor: Actor, *, at: datetime) -> TimeEntryWithProject | None:
    """Return the actor's open entry, or None if the actor is not clocked in."""
    query = ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == actor.id, ENTRY.c.end_time.is_(None))
    row = session.execute(query).one_or_none()
    return None if row is None else as_response_with_project(session, row, now=at)


def list_own(session: Session, actor: Actor, period: Period, *, attribution: Attribution, at: datetime) -> bytes | None:
    """Return the actor's entries that belong to the period, newest first, as a JSON list of TimeEntryWithProject.

    With attribution `split`, return their segments by local day. Return None if there are more than MAX_OWN_ROWS;
    `own_entries.write_json` writes any number of them.
    """
    if attribution is Attribution.at_start:
        json_entries = own_month.month_rows(session, actor, period, at=at)
        return None if json_entries is None else to_json(json_entries)
    own = USER.c.id == actor.id
    is_included = in_period(session, resolve(session, period, own), attribution, own)
    query = ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == actor.id, is_included).limit(MAX_OWN_ROWS + 1)
    entries = (as_response_with_project(session, row, now=at) for row in session.execute(query).all())
    split = split_by_day(entries, period, attribution, at=at)
    segments = [segment for _, segment in islice(split, MAX_OWN_ROWS + 1)]
    if len(segments) > MAX_OWN_ROWS:
        return None
    return dump_entries(sorted(segments, key=lambda segment: (segment.start_time, segment.id), reverse=True))


def get(session: Session, actor: Actor, entry_id: int, *, at: datetime) -> TimeEntryWithProject:
    """Return an entry that the actor may see. Raises EntryNotFound."""
    query = ENTRY_WITH_PROJECT.where(ENTRY.c.id == entry_id, visibility.visible_to(actor, ENTRY.c.user_id))
    row = session.execute(query).one_or_none()
    if row is None:
        raise EntryNotFound("There is no entry with this id that you may see.")
    return as_response_with_project(session, row, now=at)


def list_visible(
    session: Session,
    actor: Actor,
    filters: EntryFilter,
    period: Period | None,
    *,
    cursor: str | None,
    limit: int,
    at: datetime,
) -> tuple[list[TimeEntryWithProject], str | None]:
    """Return a page of the visible entries that match the filters, newest first, and the cursor of the next page.

    The cursor is None on the last page. Raises InvalidCursor.
    """
    conditions = [
        *_conditions(session, filters, at=at),
        *(
            [starts_within(resolve(session, period, visibility.visible_to(actor, USER.c.id)))]
            if period is not None
            else []
        ),
    ]
    is_visible = visibility.visible_to(actor, ENTRY.c.user_id)
    if visibility.has_small_team(session, actor):
        newest = select(ENTRY.c.id).where(ENTRY.c.user_id == USER.c.id, *conditions)
        is_visible = ENTRY.c.id.in_(_newest_per_user(session, actor, _after_cursor(newest, cursor).limit(limit + 1)))
    query = ENTRY_WITH_PROJECT.where(is_visible, *conditions)
    rows = session.execute(_after_cursor(query, cursor).limit(limit + 1)).all()
    entries = [as_response_with_project(session, row, now=at) for row in rows[:limit]]
    if len(rows) <= limit:
        return entries, None
    return entries, encode_cursor(int(entries[-1].start_time.timestamp()), entries[-1].id)


def insert_entry(
    session: Session,
    *,
    user_id: int,
    time_zone: str,
    project_id: int,
    description: str,
    start_time: datetime,
    end_time: datetime | None,
    at: datetime,
    reserved_id: int | None = None,
) -> EntryValues:
    """Insert an entry for a locked user and return its values. The caller must record the audit event.

    `time_zone` is the user's present time zone. With `reserved_id`, the INSERT is sent with the next statement or with
    the commit, so a violated constraint is raised there.
    """
    entry: EntryValues = {
        "user_id": user_id,
        "project_id": project_id,
        "start_time": start_time,
        "end_time": end_time,
        "description": description,
        "time_zone": time_zone,
        "needs_review": False,
        "version": 1,
        "created_at": at,
        "updated_at": at,
        "timesheet_id": None,
    }
    if reserved_id is None:
        return entry | {"id": session.core.execute(_INSERT, entry).scalar_one()}
    entry["id"] = reserved_id
    session.execute_later(_INSERT_WITH_ID, entry)
    return entry


def as_response(session: Session, entry: EntryValues, *, now: datetime) -> TimeEntryRead:
    """Return the entry as a response. An open entry needs review after STALE_ENTRY_HOURS."""
    review = needs_review(session, entry["needs_review"], entry["start_time"], entry["end_time"], now=now)
    return TimeEntryRead.model_construct(**entry | {"needs_review": review})


def as_response_with_project(session: Session, row: Row[Any], *, now: datetime) -> TimeEntryWithProject:
    """Return a row of ENTRY_WITH_PROJECT as a response."""
    entry: EntryValues = dict(row._mapping)
    project = ProjectRead.model_construct(
        id=entry["project_id"],
        name=entry.pop("project_name"),
        is_active=entry.pop("project_is_active"),
        created_at=entry.pop("project_created_at"),
        code=entry.pop("project_code"),
    )
    entry["needs_review"] = needs_review(session, row.needs_review, row.start_time, row.end_time, now=now)
    return TimeEntryWithProject.model_construct(**entry, project=project)


def needs_review(
    session: Session, is_flagged: bool, start_time: datetime, end_time: datetime | None, *, now: datetime
) -> bool:
    """Return True if the entry is flagged for review, or has been open for longer than STALE_ENTRY_HOURS."""
    return is_flagged or (end_time is None and is_stale(session, start_time, now))


def needs_review_clause(session: Session, entry: FromClause, *, at: datetime) -> ColumnElement[bool]:
    """Return the condition that an entry needs review, the same rule as `needs_review`."""
    stale = at - timedelta(hours=session.settings.STALE_ENTRY_HOURS)
    return or_(entry.c.needs_review, and_(entry.c.end_time.is_(None), entry.c.start_time < stale))


def approved_clause(entry: FromClause) -> ColumnElement[bool]:
    """Return the condition that an entry is in an approved timesheet."""
    is_approved = and_(TIMESHEET.c.id == entry.c.timesheet_id, TIMESHEET.c.status == TimesheetStatus.approved)
    return select(TIMESHEET.c.id).where(is_approved).correlate(entry).exists()


def only_clause(only: OnlyEntries | None, entry: FromClause) -> ColumnElement[bool]:
    """Return the condition of the parameter `only`."""
    return true() if only is None else approved_clause(entry)


def is_stale(session: Session, start: datetime, until: datetime) -> bool:
    """Return True if an entry that started at `start` is open for longer than STALE_ENTRY_HOURS at `until`."""
    return until - start > timedelta(hours=session.settings.STALE_ENTRY_HOURS)


def snapshot(entry: EntryValues) -> recorder.Fields:
    """Return the fields of an entry that the audit log keeps."""
    return {name: entry[name] for name in _AUDITED_FIELDS}


def _newest_per_user(session: Session, actor: Actor, newest: Select[tuple[int]]) -> Select[tuple[int]]:
    """Return a query for the ids of the newest entries of each visible user.

    It scans an index once for each user. A small team has few of all entries, so one scan over all would be slow.
    """
    if session.settings.is_sqlite:
        entry = ENTRY.alias("newest")
        is_newest = entry.c.id.in_(newest.correlate(USER))
        return select(entry.c.id).join_from(USER, entry, is_newest).where(visibility.visible_to(actor, USER.c.id))
    per_user = newest.correlate(USER).lateral("newest")
    return select(per_user.c.id).join_from(USER, per_user, true()).where(visibility.visible_to(actor, USER.c.id))


def _after_cursor(query: Select[Any], cursor: str | None) -> Select[Any]:
    """Order the query from newest to oldest, and start after the entry that the cursor names."""
    if cursor is not None:
        start, entry_id = decode_cursor(cursor, 2)
        last = (datetime.fromtimestamp(start, UTC), entry_id)
        query = query.where(
            tuple_(ENTRY.c.start_time, ENTRY.c.id) < tuple_(*last, types=[ENTRY.c.start_time.type, ENTRY.c.id.type])
        )
    return query.order_by(ENTRY.c.start_time.desc(), ENTRY.c.id.desc())


def _conditions(session: Session, filters: EntryFilter, *, at: datetime) -> Iterator[ColumnElement[bool]]:
    if filters.user_id is not None:
        yield ENTRY.c.user_id == filters.user_id
    if filters.project_id is not None:
        yield ENTRY.c.project_id == filters.project_id
    if filters.open is not None:
        yield ENTRY.c.end_time.is_(None) if filters.open else ENTRY.c.end_time.is_not(None)
    if filters.needs_review is not None:
        needs_review = needs_review_clause(session, ENTRY, at=at)
        yield needs_review if filters.needs_review else ~needs_review
    if filters.search is not None:
        yield contains_folded(ENTRY.c.description, filters.search)

"""Presence: the visible users who are clocked in now, and the number of open entries."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from app.core.database.session import Session
from app.core.pagination import InvalidCursor, decode_cursor, encode_cursor
from app.core.time.clock import MAX_CLOCK_LAG
from app.models.tables import ENTRY, PROJECT, USER, full_name
from app.schemas.reports.presence import Presence, PresenceFilter
from app.services.access import visibility
from app.services.access.actor import Actor

_MAX_CURSOR_AGE = timedelta(days=1)
"""The time after the first page during which its cursors are valid."""


def list_clocked_in(
    session: Session, actor: Actor, filters: PresenceFilter, *, cursor: str | None, limit: int, at: datetime
) -> tuple[list[Presence], str | None]:
    """Return a page of the visible users who are clocked in, and the cursor of the next page (None on the last page).

    Entries that need review come first, then the order is by start and entry id. All users are active, because
    deactivation closes the open entry. A cursor keeps the time of the first page, so an entry that becomes stale
    between two pages does not move. Raises InvalidCursor, also for a cursor older than one day.
    """
    first_page_at, last_keys = at, None
    if cursor is not None:
        first_second, *last_keys = decode_cursor(cursor, 4)
        first_page_at = datetime.fromtimestamp(first_second, UTC)
        if not at - _MAX_CURSOR_AGE <= first_page_at <= at + MAX_CLOCK_LAG:
            raise InvalidCursor("This cursor has expired. Start again from the first page.")
    needs_review = _needs_review(session, first_page_at)
    query = (
        select(
            *ENTRY.c["user_id", "project_id", "description", "start_time", "time_zone"],
            ENTRY.c.id.label("entry_id"),
            full_name(USER).label("user_name"),
            PROJECT.c.name.label("project_name"),
            needs_review.label("needs_review"),
        )
        .join_from(ENTRY, USER, USER.c.id == ENTRY.c.user_id)
        .join(PROJECT, PROJECT.c.id == ENTRY.c.project_id)
        .where(ENTRY.c.end_time.is_(None), _condition(actor, filters))
        .order_by(needs_review.desc(), ENTRY.c.start_time, ENTRY.c.id)
        .limit(limit + 1)
    )
    if last_keys is not None:
        query = query.where(_after_keys(needs_review, *last_keys))
    rows = session.execute(query).all()
    items = [_as_response(row._mapping, at=at) for row in rows[:limit]]
    if len(rows) <= limit:
        return items, None
    last = items[-1]
    keys = (int(last.needs_review), int(last.start_time.timestamp()), last.entry_id)
    return items, encode_cursor(int(first_page_at.timestamp()), *keys)


def count_open(session: Session, *, at: datetime) -> tuple[int, int]:
    """Return the number of open entries of all users, and the number of those that need review. For metrics."""
    needs_review = func.count().filter(_needs_review(session, at))
    open_entries, needing_review = session.execute(
        select(func.count(), needs_review).where(ENTRY.c.end_time.is_(None))
    ).one()
    return open_entries, needing_review


def _needs_review(session: Session, at: datetime) -> ColumnElement[bool]:
    return or_(ENTRY.c.needs_review, ENTRY.c.start_time < at - timedelta(hours=session.settings.STALE_ENTRY_HOURS))


def _condition(actor: Actor, filters: PresenceFilter) -> ColumnElement[bool]:
    condition = visibility.visible_to(actor, ENTRY.c.user_id)
    if filters.team_id is not None:
        condition &= USER.c.manager_id == filters.team_id
    if filters.project_id is not None:
        condition &= ENTRY.c.project_id == filters.project_id
    return condition


def _after_keys(
    needs_review: ColumnElement[bool], last_needs_review: int, last_start: int, last_id: int
) -> ColumnElement[bool]:
    """Return the condition that an entry comes after the entry with these keys."""
    start = datetime.fromtimestamp(last_start, UTC)
    later = or_(ENTRY.c.start_time > start, and_(ENTRY.c.start_time == start, ENTRY.c.id > last_id))
    return or_(~needs_review, later) if last_needs_review else and_(~needs_review, later)


def _as_response(row: Any, *, at: datetime) -> Presence:
    seconds = int((at - row["start_time"]).total_seconds())
    return Presence.model_construct(**row, elapsed_seconds=max(seconds, 0))  # negative if the clock is behind

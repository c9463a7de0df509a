"""Who is clocked in now, of those whom one may see."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from app.core.database.session import Session
from app.core.pagination import BadCursor, cursor_behind, keys_of
from app.core.time.clock import MAX_CLOCK_LAG
from app.models.tables import ENTRY, PROJECT, USER, full_name
from app.schemas.reports.presence import Presence, PresenceFilter
from app.services.access import visibility
from app.services.access.actor import Actor

_A_WALK = timedelta(days=1)
"""How long somebody may take from the first page to the last."""


def page(
    session: Session, actor: Actor, wanted: PresenceFilter, *, cursor: str | None, limit: int, at: datetime
) -> tuple[list[Presence], str | None]:
    """A stretch of the people who are clocked in, and the cursor of the next one: whose entry needs review first, then
    since when, then by entry. Only active people are: deactivation closes what runs.

    A cursor keeps the instant of its first stretch: an entry that grows stale meanwhile moves to no other place.
    Raises BadCursor.
    """
    first_at, behind = at, None
    if cursor is not None:
        first_second, *behind = keys_of(cursor, 4)
        first_at = datetime.fromtimestamp(first_second, UTC)
        if not at - _A_WALK <= first_at <= at + MAX_CLOCK_LAG:
            raise BadCursor("This cursor is too old. Start with the first page.")
    review = _needs_review(session, first_at)
    found = (
        select(
            *ENTRY.c["user_id", "project_id", "description", "start_time", "time_zone"],
            ENTRY.c.id.label("entry_id"),
            full_name(USER).label("user_name"),
            PROJECT.c.name.label("project_name"),
            review.label("needs_review"),
        )
        .join_from(ENTRY, USER, USER.c.id == ENTRY.c.user_id)
        .join(PROJECT, PROJECT.c.id == ENTRY.c.project_id)
        .where(ENTRY.c.end_time.is_(None), _asked_for(actor, wanted))
        .order_by(review.desc(), ENTRY.c.start_time, ENTRY.c.id)
        .limit(limit + 1)
    )
    if behind is not None:
        found = found.where(_behind(review, *behind))
    rows = session.execute(found).all()
    present = [_read(row._mapping, at=at) for row in rows[:limit]]
    if len(rows) <= limit:
        return present, None
    last = present[-1]
    keys = (int(last.needs_review), int(last.start_time.timestamp()), last.entry_id)
    return present, cursor_behind(int(first_at.timestamp()), *keys)


def count(session: Session, *, at: datetime) -> tuple[int, int]:
    """How many entries are open, and how many of those need review: everybody's, for the operator."""
    review = func.count().filter(_needs_review(session, at))
    open_entries, needing_review = session.execute(select(func.count(), review).where(ENTRY.c.end_time.is_(None))).one()
    return open_entries, needing_review


def _needs_review(session: Session, at: datetime) -> ColumnElement[bool]:
    return or_(ENTRY.c.needs_review, ENTRY.c.start_time < at - timedelta(hours=session.settings.STALE_ENTRY_HOURS))


def _asked_for(actor: Actor, wanted: PresenceFilter) -> ColumnElement[bool]:
    asked_for = visibility.in_sight(actor, ENTRY.c.user_id)
    if wanted.team_id is not None:
        asked_for &= USER.c.manager_id == wanted.team_id
    if wanted.project_id is not None:
        asked_for &= ENTRY.c.project_id == wanted.project_id
    return asked_for


def _behind(review: ColumnElement[bool], last_review: int, last_start: int, last_id: int) -> ColumnElement[bool]:
    """The condition that an entry comes behind the one with these keys."""
    start = datetime.fromtimestamp(last_start, UTC)
    later = or_(ENTRY.c.start_time > start, and_(ENTRY.c.start_time == start, ENTRY.c.id > last_id))
    return or_(~review, later) if last_review else and_(~review, later)


def _read(row: Any, *, at: datetime) -> Presence:
    seconds = int((at - row["start_time"]).total_seconds())
    return Presence.model_construct(**row, elapsed_seconds=max(seconds, 0))  # the clock may be a little behind

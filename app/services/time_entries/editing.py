"""The rule on which entries may still be changed: locked days, and the edit window of own entries."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.core.database.session import Session
from app.models.users import Role
from app.schemas.time_entries.entry import (
    EntryAction,
    EntryFilter,
    TimeEntryWithActions,
    TimeEntryWithProject,
    dump_entries,
    dump_entries_with_actions,
)
from app.services import period_locks
from app.services.access.actor import Actor
from app.services.calendar.periods import Period
from app.services.time_entries import entries
from app.services.time_entries.errors import EditWindowClosed

ACTIONS: list[EntryAction] = ["change", "delete"]


def check_editable(session: Session, actor: Actor, owner_id: int, start: datetime, zone: str, *, at: datetime) -> None:
    """Raise PeriodLocked or EditWindowClosed if the actor may not change an entry with this start.

    The window of EDIT_WINDOW_DAYS after the start is for own entries of employees and managers. It does not close for a
    timesheet that was rejected or reopened, because somebody asked for its correction.
    """
    day = period_locks.day_of(start, zone)
    period_locks.check(session, owner_id, day)
    days = session.settings.EDIT_WINDOW_DAYS
    is_limited = owner_id == actor.id and actor.role is not Role.admin and start < at - timedelta(days=days)
    if is_limited and not period_locks.is_returned(session, owner_id, day):
        raise EditWindowClosed(
            f"You can change your own entries for {days} days after their start. Ask your manager or an admin."
        )


def get(session: Session, actor: Actor, entry_id: int, *, at: datetime) -> TimeEntryWithActions:
    """Return an entry that the actor may see, with the actions that the actor may take now. Raises EntryNotFound."""
    (entry,) = _with_actions(session, actor, [entries.get(session, actor, entry_id, at=at)], at=at)
    return entry


def dump_visible(
    session: Session,
    actor: Actor,
    filters: EntryFilter,
    period: Period | None,
    *,
    cursor: str | None,
    limit: int,
    can: bool,
    at: datetime,
) -> tuple[bytes, str | None]:
    """Return what `entries.list_visible` returns as JSON, with `can` also the actions that the actor may take now."""
    page, next_cursor = entries.list_visible(session, actor, filters, period, cursor=cursor, limit=limit, at=at)
    if not can:
        return dump_entries(page), next_cursor
    return dump_entries_with_actions(_with_actions(session, actor, page, at=at)), next_cursor


def _with_actions(
    session: Session, actor: Actor, listed: Sequence[TimeEntryWithProject], *, at: datetime
) -> list[TimeEntryWithActions]:
    """Add the actions to visible entries. The locks of all their users are read in one statement."""
    period_locks.preload(session, {entry.user_id for entry in listed})
    return [
        TimeEntryWithActions.model_construct(**dict(entry), can=_actions(session, actor, entry, at=at))
        for entry in listed
    ]


def _actions(session: Session, actor: Actor, entry: TimeEntryWithProject, *, at: datetime) -> list[EntryAction]:
    try:
        check_editable(session, actor, entry.user_id, entry.start_time, entry.time_zone, at=at)
    except (period_locks.PeriodLocked, EditWindowClosed):
        return []
    return ACTIONS

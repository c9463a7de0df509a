"""Manual entries, corrections and deletions.

Every function here runs under the lock of the entry's user. A user's entries never overlap, are never in the future
and last at most MAX_ENTRY_HOURS. A change of times, or of another user's entry, needs a reason for the audit log.
"""

from collections.abc import Collection, Container, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, select, update

from app.core.database.session import Session
from app.core.security.access_tokens import Claims
from app.core.time.zones import day_start
from app.models.tables import ENTRY, PROJECT, USER
from app.schemas.time_entries.entry import TimeEntryRead
from app.schemas.time_entries.manual import TimeEntryCreate, TimeEntryUpdate
from app.schemas.types import FIRST_DAY
from app.services import idempotency
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.audit import recorder
from app.services.projects.errors import ProjectInactive, ProjectNotFound
from app.services.projects.projects import bookable_by
from app.services.time_entries import entries
from app.services.time_entries.editing import check_editable
from app.services.time_entries.entries import EntryValues
from app.services.time_entries.errors import (
    EntryChanged,
    EntryInFuture,
    EntryNotFound,
    EntryOverlaps,
    EntryStillOpen,
    EntryTooEarly,
    EntryTooLong,
    EntryTooShort,
    ReasonRequired,
)

ExpectedVersions = frozenset[int] | None
"""The entry versions listed in `If-Match`. None accepts every version."""
_ENTRY_QUERY = select(ENTRY).where(ENTRY.c.id == bindparam("entry_id"))
_BOOKABLE_QUERY = select(PROJECT.c.is_active, bookable_by(bindparam("user_id")).label("is_bookable")).where(
    PROJECT.c.id == bindparam("project_id")
)
_TIME_FIELDS = ("start_time", "end_time")


def create_entry(
    session: Session, claims: Claims, data: TimeEntryCreate, *, key: str | None, at: datetime
) -> TimeEntryRead:
    """Create an entry for the caller or for another visible user, once per Idempotency-Key.

    Raises UserNotFound, IdempotencyKeyReused, RequestInFlight, and what `create_locked` raises.
    """
    request = idempotency.for_key(key, "create", data.model_dump_json())
    owner_id = data.user_id or claims.user_id
    is_owner = None if owner_id == claims.user_id else USER.c.id == owner_id
    with idempotency.conflict_on_lock_timeout(request):
        actor, zones = visibility.lock_visible(session, claims, is_owner)
    if owner_id not in zones:
        raise UserNotFound("There is no user with this id that you may see.")
    if stored_response := idempotency.find_response(session, actor.id, request, TimeEntryRead, at=at):
        return stored_response
    response = create_locked(session, actor, zones, data, at=at)
    idempotency.store_response(session, actor.id, request, response, at=at)
    return response


def update_entry(
    session: Session, claims: Claims, entry_id: int, data: TimeEntryUpdate, *, versions: ExpectedVersions, at: datetime
) -> TimeEntryRead:
    """Correct an entry. Raises EntryNotFound, EntryChanged, and what `update_locked` raises."""
    actor, zones = visibility.lock_visible(session, claims, owns_any_of([entry_id]))
    return update_locked(session, actor, load_locked(session, zones, entry_id, versions), data, at=at)


def delete_entry(
    session: Session, claims: Claims, entry_id: int, *, reason: str, versions: ExpectedVersions, at: datetime
) -> None:
    """Delete an entry. Its history stays in the audit log.

    Raises EntryNotFound, EntryChanged, PeriodLocked, EditWindowClosed.
    """
    actor, zones = visibility.lock_visible(session, claims, owns_any_of([entry_id]))
    delete_locked(session, actor, load_locked(session, zones, entry_id, versions), reason=reason, at=at)


def owns_any_of(entry_ids: Collection[int]) -> ColumnElement[bool]:
    """Return the condition that a user owns one of these entries. The owner of an entry never changes."""
    return USER.c.id.in_(select(ENTRY.c.user_id).where(ENTRY.c.id.in_(entry_ids)))


def create_locked(
    session: Session, actor: Actor, zones: Mapping[int, str], data: TimeEntryCreate, *, at: datetime
) -> TimeEntryRead:
    """Create an entry for a user in `zones`, which are the time zones of the locked users whom the actor may see.

    Raises ReasonRequired, EntryTooEarly, EntryTooShort, EntryTooLong, EntryInFuture, PeriodLocked, EditWindowClosed,
    ProjectNotFound, ProjectInactive, EntryOverlaps.
    """
    owner_id = data.user_id or actor.id
    if owner_id != actor.id and data.reason is None:
        raise ReasonRequired("This entry is for another user. Send a `reason`.")
    _check_first_day(data.start_time, zones[owner_id])
    _check_times(session, data.start_time, data.end_time, at=at)
    check_editable(session, actor, owner_id, data.start_time, zones[owner_id], at=at)
    _check_bookable(session, data.project_id, owner_id)
    _check_no_overlap(session, owner_id, data.start_time, data.end_time)
    entry = entries.insert_entry(
        session,
        user_id=owner_id,
        time_zone=zones[owner_id],
        project_id=data.project_id,
        description=data.description,
        start_time=data.start_time,
        end_time=data.end_time,
        at=at,
    )
    after = entries.snapshot(entry)
    _record(session, actor, "time_entry:create", entry, after=after, reason=data.reason, at=at)
    return entries.as_response(session, entry, now=at)


def load_locked(session: Session, owner_ids: Container[int], entry_id: int, versions: ExpectedVersions) -> EntryValues:
    """Return the current state of an entry of one of the locked users.

    Raises EntryNotFound. Raises EntryChanged if the entry has none of the `versions`.
    """
    row = session.execute(_ENTRY_QUERY, {"entry_id": entry_id}).one_or_none()
    if row is None or row.user_id not in owner_ids:
        raise EntryNotFound("There is no entry with this id that you may see.")
    if versions is not None and row.version not in versions:
        raise EntryChanged(
            "The entry has changed since you read it. Read it again, then send its current version.",
            version=row.version,
        )
    return dict(row._mapping)


def update_locked(
    session: Session, actor: Actor, entry: EntryValues, data: TimeEntryUpdate, *, at: datetime
) -> TimeEntryRead:
    """Correct an entry of a locked user. New times clear `needs_review`. Without a difference, nothing is written.

    Raises EntryStillOpen if `needs_review` is sent for an entry that stays open after STALE_ENTRY_HOURS. Raises
    ReasonRequired if the times change or the entry is another user's. Raises PeriodLocked, EditWindowClosed,
    EntryTooEarly, EntryTooShort, EntryTooLong, EntryInFuture, ProjectNotFound, ProjectInactive, EntryOverlaps.
    """
    owner_id = entry["user_id"]
    fields = data.model_dump(exclude_unset=True, include=entries.EDITABLE_FIELDS)
    changes = {name: value for name, value in fields.items() if value != entry[name]}
    times_changed = any(name in changes for name in _TIME_FIELDS)
    if "needs_review" in fields and _is_open_too_long(session, entry | changes, at=at):
        raise EntryStillOpen("The entry is still open. Send the end_time at which the work ended, and a reason.")
    if not changes:
        return entries.as_response(session, entry, now=at)
    if data.reason is None and (times_changed or owner_id != actor.id):
        raise ReasonRequired("A change of times, or of another user's entry, needs a reason. Send a `reason`.")
    check_editable(session, actor, owner_id, entry["start_time"], entry["time_zone"], at=at)
    changes |= {"version": entry["version"] + 1, "updated_at": at} | ({"needs_review": False} if times_changed else {})
    changed = entry | changes
    if "start_time" in changes:
        _check_first_day(changed["start_time"], entry["time_zone"])
    if times_changed:
        _check_times(session, changed["start_time"], changed["end_time"], at=at)
        check_editable(session, actor, owner_id, changed["start_time"], entry["time_zone"], at=at)
        _check_no_overlap(session, owner_id, changed["start_time"], changed["end_time"], exclude_id=entry["id"])
    if "project_id" in changes:
        _check_bookable(session, changed["project_id"], owner_id)
    session.execute(update(ENTRY).where(ENTRY.c.id == entry["id"]).values(changes))
    before, after = recorder.changes(entries.snapshot(entry), entries.snapshot(changed))
    _record(session, actor, "time_entry:change", entry, before=before, after=after, reason=data.reason, at=at)
    return entries.as_response(session, changed, now=at)


def delete_locked(session: Session, actor: Actor, entry: EntryValues, *, reason: str, at: datetime) -> None:
    """Delete an entry of a locked user. Raises PeriodLocked, EditWindowClosed."""
    check_editable(session, actor, entry["user_id"], entry["start_time"], entry["time_zone"], at=at)
    session.execute(delete(ENTRY).where(ENTRY.c.id == entry["id"]))
    before = entries.snapshot(entry)
    _record(session, actor, "time_entry:delete", entry, before=before, reason=reason, at=at)


def _check_first_day(start: datetime, zone: str) -> None:
    if start < day_start(FIRST_DAY, zone):
        raise EntryTooEarly(
            f"The entry starts before {FIRST_DAY} in {zone}, so no report could show it. Change its start."
        )


def _check_times(session: Session, start: datetime, end: datetime | None, *, at: datetime) -> None:
    until = at if end is None else end
    if start > at or until > at:
        raise EntryInFuture("start_time and end_time must not be in the future. Enter the time after the work.")
    if end is not None and end <= start:
        raise EntryTooShort("end_time must be at least 1 second after start_time. Change one of them.")
    if until - start > timedelta(hours=session.settings.MAX_ENTRY_HOURS):
        raise EntryTooLong(
            f"An entry lasts at most {session.settings.MAX_ENTRY_HOURS} hours. Divide it into several entries."
        )


def _check_bookable(session: Session, project_id: int, owner_id: int) -> None:
    project = session.execute(_BOOKABLE_QUERY, {"project_id": project_id, "user_id": owner_id}).one_or_none()
    if project is None or not project.is_bookable:
        raise ProjectNotFound(
            "There is no project with this project_id that the user may book. GET /projects lists yours. An admin "
            "creates one with POST /admin/projects."
        )
    if not project.is_active:
        raise ProjectInactive("This project is archived. Choose another project_id.")


def _check_no_overlap(
    session: Session, owner_id: int, start: datetime, end: datetime | None, *, exclude_id: int | None = None
) -> None:
    """Raise EntryOverlaps, with the id of the other entry, if the interval overlaps an entry of the user.

    The existing entries do not overlap. Of those that start before `end`, only the last can therefore end after
    `start`. Entries of 0 s overlap nothing.
    """
    condition: ColumnElement[bool] = ENTRY.c.user_id == owner_id
    if exclude_id is not None:
        condition &= ENTRY.c.id != exclude_id
    if end is not None:
        condition &= ENTRY.c.start_time < end
    has_length = ENTRY.c.end_time.is_(None) | (ENTRY.c.end_time > ENTRY.c.start_time)
    query = select(*ENTRY.c["id", "start_time", "end_time"]).where(condition, has_length)
    other = session.execute(query.order_by(ENTRY.c.start_time.desc()).limit(1)).one_or_none()
    if other is not None and (other.end_time is None or other.end_time > start):
        until = "now" if other.end_time is None else f"{other.end_time:%Y-%m-%dT%H:%M:%SZ}"
        raise EntryOverlaps(
            f"The times overlap entry {other.id}, from {other.start_time:%Y-%m-%dT%H:%M:%SZ} to {until}. "
            "Change them, or correct that entry first.",
            entry_id=other.id,
        )


def _is_open_too_long(session: Session, entry: EntryValues, *, at: datetime) -> bool:
    return entry["end_time"] is None and entries.is_stale(session, entry["start_time"], at)


def _record(session: Session, actor: Actor, action: str, entry: EntryValues, *, at: datetime, **details: Any) -> None:
    recorder.record(
        session, action, at=at, actor_id=actor.id, subject_id=entry["user_id"], object_id=entry["id"], **details
    )

"""Entries written and corrected by hand: manual entries, forgotten clock-outs, wrong projects, deletions.

Everything here runs under the lock of the person whose time it is. Their entries never overlap, lie in the past, last
at most MAX_ENTRY_HOURS, and every change of what the clock said, or of another's time, has a reason in the record.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, select, update

from app.core.database.session import Session
from app.models.tables import ENTRY, PROJECT
from app.models.users import Role, User
from app.schemas.time_entries.entry import TimeEntryRead
from app.schemas.time_entries.manual import EntryCreate, EntryUpdate
from app.services import idempotency
from app.services.access import locks, visibility
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.projects.errors import ProjectInactive, ProjectNotFound
from app.services.projects.projects import bookable_by
from app.services.time_entries import entries
from app.services.time_entries.entries import Entry
from app.services.time_entries.errors import (
    EditWindowClosed,
    EntryChanged,
    EntryInFuture,
    EntryNotFound,
    EntryOverlaps,
    EntryStillRuns,
    EntryTooLong,
    EntryTooShort,
    ReasonNeeded,
)

Versions = frozenset[int] | None
"""The versions that a change is meant for, of `If-Match`; None where any will do."""
_ENTRY = select(ENTRY).where(ENTRY.c.id == bindparam("entry_id"))
_BOOKABLE = select(PROJECT.c.is_active, bookable_by(bindparam("user_id")).label("is_bookable")).where(
    PROJECT.c.id == bindparam("project_id")
)
_TIMES = ("start_time", "end_time")


def create(session: Session, actor: Actor, wanted: EntryCreate, *, key: str | None, at: datetime) -> TimeEntryRead:
    """Add an entry for the actor, or for somebody they may act for; once per Idempotency-Key.

    Raises UserNotFound, and what `add` raises; KeyReused, RequestInFlight.
    """
    request = idempotency.once(key, "create", wanted.model_dump_json())
    owner_id = wanted.user_id or actor.id
    visibility.require_in_sight(session, actor, {owner_id})
    with idempotency.waiting(request):
        locked = locks.lock(session, owner_id, *([actor.id] if request else []))
    if done := idempotency.answered(session, actor.id, request, TimeEntryRead, at=at):
        return done
    owner = next(person for person in locked if person.id == owner_id)
    answer = add(session, actor, owner, wanted, at=at)
    idempotency.keep(session, actor.id, request, answer, at=at)
    return answer


def change(
    session: Session, actor: Actor, entry_id: int, wanted: EntryUpdate, *, versions: Versions, at: datetime
) -> TimeEntryRead:
    """Correct an entry. Raises EntryNotFound, and what `amend` raises."""
    locks.lock(session, _owner_of(session, actor, entry_id))
    return amend(session, actor, current(session, actor, entry_id, versions), wanted, at=at)


def remove(session: Session, actor: Actor, entry_id: int, *, reason: str, versions: Versions, at: datetime) -> None:
    """Delete an entry; its history stays. Raises EntryNotFound, EntryChanged, EditWindowClosed."""
    locks.lock(session, _owner_of(session, actor, entry_id))
    drop(session, actor, current(session, actor, entry_id, versions), reason=reason, at=at)


def add(session: Session, actor: Actor, owner: User, wanted: EntryCreate, *, at: datetime) -> TimeEntryRead:
    """Add an entry of a locked person whom the actor may see.

    Raises ReasonNeeded, EntryTooShort, EntryTooLong, EntryInFuture, EditWindowClosed, ProjectNotFound, ProjectInactive,
    EntryOverlaps.
    """
    assert owner.id is not None
    if owner.id != actor.id and wanted.reason is None:
        raise ReasonNeeded("Say in `reason` why you enter somebody else's time.")
    _check_times(session, wanted.start_time, wanted.end_time, at=at)
    _check_window(session, actor, owner.id, wanted.start_time, at=at)
    _check_bookable(session, wanted.project_id, owner.id)
    _check_free(session, owner.id, wanted.start_time, wanted.end_time)
    entry = entries.add(
        session,
        user_id=owner.id,
        time_zone=owner.time_zone,
        project_id=wanted.project_id,
        description=wanted.description,
        start_time=wanted.start_time,
        end_time=wanted.end_time,
        at=at,
    )
    after = entries.snapshot(entry)
    _record(session, actor, "time_entry:create", entry, after=after, reason=wanted.reason, at=at)
    return entries.read(session, entry, now=at)


def current(session: Session, actor: Actor, entry_id: int, versions: Versions) -> Entry:
    """The entry as it is now that its owner is locked. Raises EntryNotFound, EntryChanged."""
    row = session.execute(
        _ENTRY.where(visibility.in_sight(actor, ENTRY.c.user_id)), {"entry_id": entry_id}
    ).one_or_none()
    if row is None:
        raise EntryNotFound("There is no such entry for you.")
    if versions is not None and row.version not in versions:
        raise EntryChanged("Somebody changed it since you read it. Read it again, then decide.", version=row.version)
    return dict(row._mapping)


def amend(session: Session, actor: Actor, entry: Entry, wanted: EntryUpdate, *, at: datetime) -> TimeEntryRead:
    """Correct a locked person's entry; nothing happens where nothing differs. New times need no more review.

    Raises EntryStillRuns (confirmed while it runs), ReasonNeeded (somebody else's, or times), EditWindowClosed,
    EntryTooShort, EntryTooLong, EntryInFuture, ProjectNotFound, ProjectInactive, EntryOverlaps.
    """
    owner_id = entry["user_id"]
    sent = wanted.model_dump(exclude_unset=True, include=entries.CORRECTABLE)
    changes = {name: value for name, value in sent.items() if value != entry[name]}
    retimed = any(name in changes for name in _TIMES)
    if "needs_review" in sent and _runs_too_long(session, entry | changes, at=at):
        raise EntryStillRuns("It still runs. Send the end_time at which the work ended, with a reason.")
    if not changes:
        return entries.read(session, entry, now=at)
    if wanted.reason is None and (retimed or owner_id != actor.id):
        raise ReasonNeeded("Say in `reason` why: it is somebody else's entry, or its times were recorded.")
    _check_window(session, actor, owner_id, entry["start_time"], at=at)
    changes |= {"version": entry["version"] + 1, "updated_at": at} | ({"needs_review": False} if retimed else {})
    changed = entry | changes
    if retimed:
        _check_times(session, changed["start_time"], changed["end_time"], at=at)
        _check_window(session, actor, owner_id, changed["start_time"], at=at)
        _check_free(session, owner_id, changed["start_time"], changed["end_time"], besides=entry["id"])
    if "project_id" in changes:
        _check_bookable(session, changed["project_id"], owner_id)
    session.execute(update(ENTRY).where(ENTRY.c.id == entry["id"]).values(changes))
    before, after = recorder.changes(entries.snapshot(entry), entries.snapshot(changed))
    _record(session, actor, "time_entry:change", entry, before=before, after=after, reason=wanted.reason, at=at)
    return entries.read(session, changed, now=at)


def drop(session: Session, actor: Actor, entry: Entry, *, reason: str, at: datetime) -> None:
    """Delete a locked person's entry. Raises EditWindowClosed."""
    _check_window(session, actor, entry["user_id"], entry["start_time"], at=at)
    session.execute(delete(ENTRY).where(ENTRY.c.id == entry["id"]))
    before = entries.snapshot(entry)
    _record(session, actor, "time_entry:delete", entry, before=before, reason=reason, at=at)


def _owner_of(session: Session, actor: Actor, entry_id: int) -> int:
    """Whose entry it is, which never changes. Raises EntryNotFound where the actor may not see it."""
    seen = select(ENTRY.c.user_id).where(ENTRY.c.id == entry_id, visibility.in_sight(actor, ENTRY.c.user_id))
    owner_id = session.execute(seen).scalar_one_or_none()
    if owner_id is None:
        raise EntryNotFound("There is no such entry for you.")
    return int(owner_id)


def _check_times(session: Session, start: datetime, end: datetime | None, *, at: datetime) -> None:
    until = at if end is None else end
    if start > at or until > at:
        raise EntryInFuture("Time can be entered once it has passed, not before.")
    if end is not None and end <= start:
        raise EntryTooShort("end_time must be later than start_time, by a second at least.")
    if until - start > timedelta(hours=session.settings.MAX_ENTRY_HOURS):
        raise EntryTooLong(f"An entry lasts at most {session.settings.MAX_ENTRY_HOURS} hours. Enter it in parts.")


def _check_window(session: Session, actor: Actor, owner_id: int, start: datetime, *, at: datetime) -> None:
    """People change their own time for EDIT_WINDOW_DAYS back, managers included; others' and admins' have no limit."""
    days = session.settings.EDIT_WINDOW_DAYS
    if owner_id == actor.id and actor.role is not Role.admin and start < at - timedelta(days=days):
        raise EditWindowClosed(f"You can change your own time for {days} days back. Ask your manager or an admin.")


def _check_bookable(session: Session, project_id: int, owner_id: int) -> None:
    project = session.execute(_BOOKABLE, {"project_id": project_id, "user_id": owner_id}).one_or_none()
    if project is None or not project.is_bookable:
        raise ProjectNotFound("There is no such project that this person may book.")
    if not project.is_active:
        raise ProjectInactive("This project is archived. Choose another one.")


def _check_free(
    session: Session, owner_id: int, start: datetime, end: datetime | None, *, besides: int | None = None
) -> None:
    """Raises EntryOverlaps, naming the entry in the way.

    Of entries that don't overlap, only the last of those that start before the end can reach behind the start. Empty
    ones are in nobody's way.
    """
    is_other: ColumnElement[bool] = ENTRY.c.user_id == owner_id
    if besides is not None:
        is_other &= ENTRY.c.id != besides
    if end is not None:
        is_other &= ENTRY.c.start_time < end
    lasts = ENTRY.c.end_time.is_(None) | (ENTRY.c.end_time > ENTRY.c.start_time)
    latest = select(*ENTRY.c["id", "start_time", "end_time"]).where(is_other, lasts)
    found = session.execute(latest.order_by(ENTRY.c.start_time.desc()).limit(1)).one_or_none()
    if found is not None and (found.end_time is None or found.end_time > start):
        until = "now" if found.end_time is None else f"{found.end_time:%Y-%m-%dT%H:%M:%SZ}"
        raise EntryOverlaps(
            f"Entry {found.id}, from {found.start_time:%Y-%m-%dT%H:%M:%SZ} to {until}, lies in that time.",
            entry_id=found.id,
        )


def _runs_too_long(session: Session, entry: Entry, *, at: datetime) -> bool:
    return entry["end_time"] is None and entries.is_stale(session, entry["start_time"], at)


def _record(session: Session, actor: Actor, action: str, entry: Entry, *, at: datetime, **told: Any) -> None:
    recorder.record(
        session, action, at=at, actor_id=actor.id, subject_id=entry["user_id"], object_id=entry["id"], **told
    )

"""Punches: clocking in and out, and reading one's own hours.

The hot path: one statement authenticates, locks and reads all that a punch asks, one or two write. Statements are
built once. Everything here runs under the lock of the person concerned; the database's constraints are the backstop.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, insert, select, update

from app.core.db import LOCK_PERSON, Session
from app.core.tokens import Claims
from app.schemas.project import ProjectRead
from app.schemas.time_entry import ClockIn, TimeEntryRead, TimeEntryWithProject
from app.services import audit, visibility
from app.services.errors import (
    AlreadyClockedIn,
    AlreadyClockedOut,
    ClockBehind,
    EntryNotFound,
    NotClockedIn,
    NotYourEntry,
    ProjectInactive,
    ProjectNotFound,
)
from app.services.identity import ACTOR_COLUMNS, USER, Actor, actor_from
from app.services.periods import ENTRY, Period, starts_within
from app.services.projects import PROJECT, bookable_by

MAX_CLOCK_LAG = timedelta(seconds=5)
_OPEN = ENTRY.alias("open_entry")
_CLOSED = (
    select(ENTRY.c.end_time)
    .where(ENTRY.c.user_id == USER.c.id, ENTRY.c.end_time.is_not(None))
    .order_by(ENTRY.c.start_time.desc(), ENTRY.c.end_time.desc())
    .limit(1)
)
# Of entries that don't overlap, the one that starts last ends last; only one of 0 s can lie inside another.
_LAST_END = _CLOSED.scalar_subquery()
_LAST_WORKED_END = _CLOSED.where(ENTRY.c.end_time > ENTRY.c.start_time).scalar_subquery()
# Where a person stands at the clock: who they are, their open entry, when they last stopped, the project they want.
_STANDING = (
    select(
        *ACTOR_COLUMNS,
        *(column.label(f"open_{column.name}") for column in _OPEN.c),
        _LAST_END.label("last_end"),
        _LAST_WORKED_END.label("last_worked_end"),
        PROJECT.c.id.label("project_id"),
        PROJECT.c.is_active.label("project_is_active"),
        bookable_by(USER.c.id).label("project_is_bookable"),
    )
    .select_from(USER)
    .outerjoin(_OPEN, and_(_OPEN.c.user_id == USER.c.id, _OPEN.c.end_time.is_(None)))
    .outerjoin(PROJECT, PROJECT.c.id == bindparam("project_id"))
    .where(USER.c.id == bindparam("user_id"))
)
_INSERT = insert(ENTRY).returning(ENTRY.c.id)
_CLOSE = (
    update(ENTRY)
    .where(ENTRY.c.id == bindparam("entry_id"))
    .values(
        end_time=bindparam("at"),
        needs_review=bindparam("is_stale"),
        version=bindparam("next_version"),
        updated_at=bindparam("at"),
    )
)
_ENTRY = select(ENTRY).where(ENTRY.c.id == bindparam("entry_id"))
_OPEN_ENTRY = select(ENTRY).where(ENTRY.c.user_id == bindparam("user_id"), ENTRY.c.end_time.is_(None))
ENTRY_WITH_PROJECT = select(
    ENTRY,
    PROJECT.c.name.label("project_name"),
    PROJECT.c.is_active.label("project_is_active"),
    PROJECT.c.created_at.label("project_created_at"),
).join_from(ENTRY, PROJECT, PROJECT.c.id == ENTRY.c.project_id)
_RECORDED = ("project_id", "start_time", "end_time", "description", "time_zone", "needs_review", "version")
Entry = dict[str, Any]


def clock_in(session: Session, claims: Claims, wanted: ClockIn, *, switch: bool, at: datetime) -> TimeEntryRead:
    """Open an entry for the caller; with `switch`, close the open one at the same instant.

    Raises AlreadyClockedIn, ProjectNotFound (none, or not theirs to book), ProjectInactive, ClockBehind.
    """
    standing, actor = _standing(session, claims, project_id=wanted.project_id)
    if standing.open_id is not None and not switch:
        raise AlreadyClockedIn(
            "You are clocked in already. Clock out first, or send switch=true.", entry_id=standing.open_id
        )
    if standing.project_id is None or not standing.project_is_bookable:
        raise ProjectNotFound("There is no such project for you.")
    if not standing.project_is_active:
        raise ProjectInactive("This project is archived. Choose another one.")
    at = _punch_instant(standing, at)
    if standing.open_id is not None:
        _close(session, actor.id, _open_entry(standing), action="time_entry:switch", at=at)
    entry: Entry = {
        "user_id": actor.id,
        "project_id": wanted.project_id,
        "start_time": at,
        "end_time": None,
        "description": wanted.description,
        "time_zone": actor.time_zone,
        "needs_review": False,
        "version": 1,
        "created_at": at,
        "updated_at": at,
    }
    entry["id"] = session.execute(_INSERT, entry).scalar_one()
    audit.record(
        session,
        "time_entry:clock_in",
        at=at,
        actor_id=actor.id,
        subject_id=actor.id,
        object_id=entry["id"],
        after=_snapshot(entry),
    )
    return read(session, entry, now=at)


def clock_out(session: Session, claims: Claims, entry_id: int, *, at: datetime) -> TimeEntryRead:
    """Close the caller's entry. Raises EntryNotFound, NotYourEntry, AlreadyClockedOut, ClockBehind."""
    standing, actor = _standing(session, claims)
    if standing.open_id == entry_id:
        return _clock_out(session, standing, actor, at=at)
    entry = session.execute(
        _ENTRY.where(visibility.in_sight(actor, ENTRY.c.user_id)), {"entry_id": entry_id}
    ).one_or_none()
    if entry is None:
        raise EntryNotFound("There is no such entry for you.")
    if entry.user_id != actor.id:
        raise NotYourEntry("Only the person who clocked in can clock out. Correct the entry instead.")
    raise AlreadyClockedOut("This entry is clocked out already.", entry_id=entry_id)


def clock_out_open(session: Session, claims: Claims, *, at: datetime) -> TimeEntryRead:
    """Close the caller's open entry, whichever it is. Raises NotClockedIn, ClockBehind."""
    standing, actor = _standing(session, claims)
    if standing.open_id is None:
        raise NotClockedIn("You are not clocked in.")
    return _clock_out(session, standing, actor, at=at)


def current(session: Session, actor: Actor, *, at: datetime) -> TimeEntryWithProject | None:
    """The actor's open entry; None when the clock stands still."""
    open_one = ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == actor.id, ENTRY.c.end_time.is_(None))
    row = session.execute(open_one).one_or_none()
    return None if row is None else read_with_project(session, row, now=at)


def own(session: Session, actor: Actor, period: Period, *, at: datetime) -> list[TimeEntryWithProject]:
    """The actor's entries that start on a day of the period, newest first."""
    rows = session.execute(
        ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == actor.id, starts_within(session, period)).order_by(
            ENTRY.c.start_time.desc(), ENTRY.c.id.desc()
        )
    ).all()
    return [read_with_project(session, row, now=at) for row in rows]


def close_for_deactivation(session: Session, actor: Actor, user_id: int, *, at: datetime) -> None:
    """Close the open entry of a person who is deactivated, if they have one. The person is locked."""
    row = session.execute(_OPEN_ENTRY, {"user_id": user_id}).one_or_none()
    if row is not None:
        ends = max(at, row.start_time)
        _close(session, actor.id, dict(row._mapping), action="time_entry:close_on_deactivation", at=ends)


def read(session: Session, entry: Entry, *, now: datetime) -> TimeEntryRead:
    """The entry as it is answered; an open one shows needs_review once it has run too long."""
    review = needs_review(session, entry["needs_review"], entry["start_time"], entry["end_time"], now=now)
    return TimeEntryRead.model_construct(**entry | {"needs_review": review})


def read_with_project(session: Session, row: Row[Any], *, now: datetime) -> TimeEntryWithProject:
    """A row of ENTRY_WITH_PROJECT as it is answered."""
    entry: Entry = dict(row._mapping)
    project = ProjectRead.model_construct(
        id=entry["project_id"],
        name=entry.pop("project_name"),
        is_active=entry.pop("project_is_active"),
        created_at=entry.pop("project_created_at"),
    )
    entry["needs_review"] = needs_review(session, row.needs_review, row.start_time, row.end_time, now=now)
    return TimeEntryWithProject.model_construct(**entry, project=project)


def needs_review(
    session: Session, marked: bool, start_time: datetime, end_time: datetime | None, *, now: datetime
) -> bool:
    """Whether a person should look at the entry: it is marked so, or it has been open for longer than anyone works."""
    return marked or (end_time is None and _is_stale(session, start_time, now))


def _standing(session: Session, claims: Claims, *, project_id: int | None = None) -> tuple[Row[Any], Actor]:
    row = session.execute(
        _STANDING,
        {"user_id": claims.user_id, "project_id": project_id},
        execution_options={LOCK_PERSON: claims.user_id},
    ).one_or_none()
    actor = actor_from(row, claims)
    assert row is not None
    return row, actor


def _clock_out(session: Session, standing: Row[Any], actor: Actor, *, at: datetime) -> TimeEntryRead:
    at = _punch_instant(standing, at)
    closed = _close(session, actor.id, _open_entry(standing), action="time_entry:clock_out", at=at)
    return read(session, closed, now=at)


def _close(session: Session, actor_id: int, entry: Entry, *, action: str, at: datetime) -> Entry:
    stale = _is_stale(session, entry["start_time"], at)
    closed = entry | {"end_time": at, "needs_review": stale, "version": entry["version"] + 1, "updated_at": at}
    session.execute(_CLOSE, {"entry_id": entry["id"], "at": at, "is_stale": stale, "next_version": closed["version"]})
    audit.record(
        session,
        action,
        at=at,
        actor_id=actor_id,
        subject_id=entry["user_id"],
        object_id=entry["id"],
        before=_snapshot(entry),
        after=_snapshot(closed),
    )
    return closed


def _punch_instant(standing: Row[Any], at: datetime) -> datetime:
    """The punch's instant: never before the last end or the open start. A clock up to 5 s behind is stepped over."""
    known = (standing.open_start_time, standing.last_end, standing.last_worked_end)
    earliest = max((instant for instant in known if instant), default=at)
    if earliest - at > MAX_CLOCK_LAG:
        raise ClockBehind("The server's clock is behind your last punch. Tell the operator, and try again.")
    return max(at, earliest)


def _open_entry(standing: Row[Any]) -> Entry:
    return {column.name: getattr(standing, f"open_{column.name}") for column in ENTRY.c}


def _is_stale(session: Session, start: datetime, until: datetime) -> bool:
    return until - start > timedelta(hours=session.settings.STALE_ENTRY_HOURS)


def _snapshot(entry: Entry) -> audit.Facts:
    return {name: entry[name] for name in _RECORDED}

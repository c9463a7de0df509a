"""Entries as they are read: one's own, the one that runs now, and how each is answered."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from app.core.db import Session
from app.schemas.project import ProjectRead
from app.schemas.time_entry import TimeEntryRead, TimeEntryWithProject
from app.services import audit
from app.services.identity import Actor
from app.services.periods import ENTRY, Period, starts_within
from app.services.projects import PROJECT

ENTRY_WITH_PROJECT = select(
    ENTRY,
    PROJECT.c.name.label("project_name"),
    PROJECT.c.is_active.label("project_is_active"),
    PROJECT.c.created_at.label("project_created_at"),
).join_from(ENTRY, PROJECT, PROJECT.c.id == ENTRY.c.project_id)
_RECORDED = ("project_id", "start_time", "end_time", "description", "time_zone", "needs_review", "version")
Entry = dict[str, Any]


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
    return marked or (end_time is None and is_stale(session, start_time, now))


def is_stale(session: Session, start: datetime, until: datetime) -> bool:
    """Whether an entry was open for longer than STALE_ENTRY_HOURS at that instant."""
    return until - start > timedelta(hours=session.settings.STALE_ENTRY_HOURS)


def snapshot(entry: Entry) -> audit.Facts:
    """What the record keeps of an entry."""
    return {name: entry[name] for name in _RECORDED}

"""Entries: how one is written and answered, one's own, the one that runs now, and lists of what one may see."""

import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_json
from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, insert, or_, select, true, tuple_

from app.core.database.dialect import ascii_lower
from app.core.database.session import Session
from app.core.pagination import cursor_behind, keys_of
from app.models.tables import ENTRY, PROJECT, USER
from app.schemas.projects import ProjectRead
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import EntryFilter, TimeEntryRead, TimeEntryWithProject, as_json
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.calendar.attribution import belonging, parts
from app.services.calendar.periods import Period, resolve, starts_within
from app.services.time_entries import own_month
from app.services.time_entries.errors import EntryNotFound

ENTRY_WITH_PROJECT = select(
    ENTRY,
    PROJECT.c.name.label("project_name"),
    PROJECT.c.is_active.label("project_is_active"),
    PROJECT.c.created_at.label("project_created_at"),
).join_from(ENTRY, PROJECT, PROJECT.c.id == ENTRY.c.project_id)
_INSERT = insert(ENTRY).returning(ENTRY.c.id)
_INSERT_WITH_ID = insert(ENTRY)
_RECORDED = ("project_id", "start_time", "end_time", "description", "time_zone", "needs_review", "version")
CORRECTABLE = {"project_id", "start_time", "end_time", "description", "needs_review"}
Entry = dict[str, Any]


def current(session: Session, actor: Actor, *, at: datetime) -> TimeEntryWithProject | None:
    """The actor's open entry; None when the clock stands still."""
    open_one = ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == actor.id, ENTRY.c.end_time.is_(None))
    row = session.execute(open_one).one_or_none()
    return None if row is None else read_with_project(session, row, now=at)


def own(session: Session, actor: Actor, period: Period, *, attribution: Attribution, at: datetime) -> bytes:
    """The actor's entries that belong to the period, newest first, as the JSON of a list of TimeEntryWithProject; with
    split, their parts inside each local day."""
    if attribution is Attribution.at_start:
        return to_json(list(own_month.starting(session, actor, period, at=at)))
    belongs = belonging(session, resolve(session, period), attribution, USER.c.id == actor.id)
    rows = session.execute(ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == actor.id, belongs)).all()
    entries = [read_with_project(session, row, now=at) for row in rows]
    found = [part for _, part in parts(entries, period, attribution)]
    return as_json(sorted(found, key=lambda part: (part.start_time, part.id), reverse=True))


def get(session: Session, actor: Actor, entry_id: int, *, at: datetime) -> TimeEntryWithProject:
    """An entry that the actor may see. Raises EntryNotFound."""
    seen = ENTRY_WITH_PROJECT.where(ENTRY.c.id == entry_id, visibility.in_sight(actor, ENTRY.c.user_id))
    row = session.execute(seen).one_or_none()
    if row is None:
        raise EntryNotFound("There is no such entry for you.")
    return read_with_project(session, row, now=at)


def page(
    session: Session,
    actor: Actor,
    wanted: EntryFilter,
    period: Period | None,
    *,
    cursor: str | None,
    limit: int,
    at: datetime,
) -> tuple[list[TimeEntryWithProject], str | None]:
    """A stretch of the entries that the actor may see and that fit, newest first, and the cursor of the next one.

    Raises BadCursor.
    """
    fitting = [
        *_fitting(session, wanted, at=at),
        *([starts_within(resolve(session, period))] if period is not None else []),
    ]
    in_sight = visibility.in_sight(actor, ENTRY.c.user_id)
    if visibility.has_small_team(session, actor):
        of_one = select(ENTRY.c.id).where(ENTRY.c.user_id == USER.c.id, *fitting)
        in_sight = ENTRY.c.id.in_(_of_each(session, actor, _behind(of_one, cursor).limit(limit + 1)))
    found = ENTRY_WITH_PROJECT.where(in_sight, *fitting)
    rows = session.execute(_behind(found, cursor).limit(limit + 1)).all()
    entries = [read_with_project(session, row, now=at) for row in rows[:limit]]
    if len(rows) <= limit:
        return entries, None
    return entries, cursor_behind(int(entries[-1].start_time.timestamp()), entries[-1].id)


def add(
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
) -> Entry:
    """Write a new entry of a locked person, in the zone that is theirs now. Its event is the caller's to record.

    With an id that was reserved for it, it is written soon: the database's refusal shows behind the next statement.
    """
    entry: Entry = {
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
    }
    if reserved_id is None:
        return entry | {"id": session.execute(_INSERT, entry).scalar_one()}
    entry["id"] = reserved_id
    session.write_soon(_INSERT_WITH_ID, entry)
    return entry


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


def flagged(session: Session, entry: FromClause, *, at: datetime) -> ColumnElement[bool]:
    """The condition that an entry needs review: `needs_review`, asked in a statement."""
    stale = at - timedelta(hours=session.settings.STALE_ENTRY_HOURS)
    return or_(entry.c.needs_review, and_(entry.c.end_time.is_(None), entry.c.start_time < stale))


def is_stale(session: Session, start: datetime, until: datetime) -> bool:
    """Whether an entry was open for longer than STALE_ENTRY_HOURS at that instant."""
    return until - start > timedelta(hours=session.settings.STALE_ENTRY_HOURS)


def snapshot(entry: Entry) -> recorder.Facts:
    """What the record keeps of an entry."""
    return {name: entry[name] for name in _RECORDED}


def _of_each(session: Session, actor: Actor, newest: Select[tuple[int]]) -> Select[tuple[int]]:
    """The newest entries of each person in sight: a walk down the index for each of them, since one down everybody's
    entries is long where a team has few of them."""
    if session.settings.is_sqlite:
        entry = ENTRY.alias("of_one")
        is_one = entry.c.id.in_(newest.correlate(USER))
        return select(entry.c.id).join_from(USER, entry, is_one).where(visibility.in_sight(actor, USER.c.id))
    per_person = newest.correlate(USER).lateral("of_one")
    return select(per_person.c.id).join_from(USER, per_person, true()).where(visibility.in_sight(actor, USER.c.id))


def _behind(found: Select[Any], cursor: str | None) -> Select[Any]:
    """The entries newest first, behind the one that the cursor names."""
    if cursor is not None:
        start, entry_id = keys_of(cursor, 2)
        last = (datetime.fromtimestamp(start, UTC), entry_id)
        found = found.where(
            tuple_(ENTRY.c.start_time, ENTRY.c.id) < tuple_(*last, types=[ENTRY.c.start_time.type, ENTRY.c.id.type])
        )
    return found.order_by(ENTRY.c.start_time.desc(), ENTRY.c.id.desc())


def _fitting(session: Session, wanted: EntryFilter, *, at: datetime) -> Iterator[ColumnElement[bool]]:
    if wanted.user_id is not None:
        yield ENTRY.c.user_id == wanted.user_id
    if wanted.project_id is not None:
        yield ENTRY.c.project_id == wanted.project_id
    if wanted.open is not None:
        yield ENTRY.c.end_time.is_(None) if wanted.open else ENTRY.c.end_time.is_not(None)
    if wanted.needs_review is not None:
        marked = flagged(session, ENTRY, at=at)
        yield marked if wanted.needs_review else ~marked
    if wanted.search is not None:
        yield _says(wanted.search)


def _says(text: str) -> ColumnElement[bool]:
    """The condition that a description has the text in it: A to Z in any case, other letters as typed, all small, all
    capital or capitalised. The engines' own folding differs: by the server's locale, and not at all on SQLite."""
    folded = ascii_lower(ENTRY.c.description)
    small = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
    typed = sorted({each.translate(small) for each in (text, text.lower(), text.upper(), text.title())})
    return or_(*(folded.contains(each, autoescape=True) for each in typed))

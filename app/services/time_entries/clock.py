"""Punches: clocking in and out.

The hot path: one statement authenticates, locks and reads all that a punch asks, one or two write. Statements are
built once. Everything here runs under the lock of the person concerned; the database's constraints are the backstop.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Row, and_, bindparam, func, select, update

from app.core.database.dialect import next_id
from app.core.database.session import Session
from app.core.security.access_tokens import Claims
from app.core.time.clock import MAX_CLOCK_LAG
from app.models.tables import CHAIN, ENTRY, KEY, PROJECT, USER
from app.schemas.time_entries.clock import ClockIn
from app.schemas.time_entries.entry import TimeEntryRead
from app.services import idempotency
from app.services.access import locks, visibility
from app.services.access.actor import Actor
from app.services.access.authentication import ACTOR_COLUMNS, actor_from, proven, shown
from app.services.audit import recorder
from app.services.idempotency import Once
from app.services.projects.errors import ProjectInactive, ProjectNotFound
from app.services.projects.projects import bookable_by
from app.services.time_entries import entries
from app.services.time_entries.entries import Entry, is_stale, read, snapshot
from app.services.time_entries.errors import (
    AlreadyClockedIn,
    AlreadyClockedOut,
    ClockBehind,
    EntryNotFound,
    NotClockedIn,
    NotYourEntry,
)

_PERSON: BindParameter[int] = bindparam(
    "user_id"
)  # not the row's id: so a database in parts knows at once which part to look at
_OPEN = ENTRY.alias("open_entry")
_CLOSED = (
    select(ENTRY.c.end_time)
    .where(ENTRY.c.user_id == _PERSON, ENTRY.c.end_time.is_not(None))
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
        CHAIN.c.length.label("chain_length"),
        CHAIN.c.last_link,
        PROJECT.c.id.label("project_id"),
        PROJECT.c.is_active.label("project_is_active"),
        bookable_by(USER.c.id).label("project_is_bookable"),
    )
    .select_from(USER)
    .outerjoin(_OPEN, and_(_OPEN.c.user_id == _PERSON, _OPEN.c.end_time.is_(None)))
    .outerjoin(CHAIN, CHAIN.c.chain_id == USER.c.id)
    .outerjoin(PROJECT, PROJECT.c.id == bindparam("project_id"))
    .where(USER.c.id == _PERSON)
)
# With a key, also the answer that is kept under it, and since when the oldest of all keys is: one look at an index.
_STANDING_ONCE = _STANDING.add_columns(
    KEY.c.fingerprint,
    KEY.c.answer,
    KEY.c.created_at.label("kept_at"),
    select(func.min(KEY.alias("any_key").c.created_at, type_=KEY.c.created_at.type))
    .scalar_subquery()
    .label("oldest_key"),
).outerjoin(KEY, and_(KEY.c.user_id == USER.c.id, KEY.c.key == bindparam("key")))
# On PostgreSQL the id of the entry to come, so that it needs no round trip of its own to be known. (A refused punch
# leaves its id unused.)
_RESERVED = next_id("time_entry_id_seq").label("reserved_id")
_STARTING, _STARTING_ONCE = (statement.add_columns(_RESERVED) for statement in (_STANDING, _STANDING_ONCE))
_CLOSE = (
    update(ENTRY)
    .where(ENTRY.c.id == bindparam("entry_id"), ENTRY.c.user_id == bindparam("owner_id"))
    .values(
        end_time=bindparam("at"),
        needs_review=bindparam("is_stale"),
        version=bindparam("next_version"),
        updated_at=bindparam("at"),
    )
)
_ENTRY = select(ENTRY).where(ENTRY.c.id == bindparam("entry_id"))
_OPEN_ENTRY = select(ENTRY).where(ENTRY.c.user_id == _PERSON, ENTRY.c.end_time.is_(None))


def clock_in(
    session: Session, claims: Claims, wanted: ClockIn, *, switch: bool, key: str | None = None, at: datetime
) -> TimeEntryRead:
    """Open an entry for the caller, once per Idempotency-Key; with `switch`, close the open one at the same instant.

    Raises AlreadyClockedIn, ProjectNotFound (none, or not theirs to book), ProjectInactive, ClockBehind; KeyReused,
    RequestInFlight.
    """
    request = idempotency.once(key, "clock-in", wanted.model_dump_json(), str(switch))
    standing, actor, done = _standing(session, claims, request, project_id=wanted.project_id, at=at)
    if done:
        return done
    _check_may_start(standing, switch=switch)
    at = _punch_instant(standing, at)
    if standing.open_id is not None:
        _close(session, actor.id, _open_entry(standing), action="time_entry:switch", at=at)
    answer = _start(session, standing, actor, wanted, at=at)
    _keep(session, standing, actor, request, answer, at=at)
    return answer


def clock_out(
    session: Session, claims: Claims, entry_id: int, *, key: str | None = None, at: datetime
) -> TimeEntryRead:
    """Close the caller's entry, once per Idempotency-Key.

    Raises EntryNotFound, NotYourEntry, AlreadyClockedOut, ClockBehind; KeyReused, RequestInFlight.
    """
    request = idempotency.once(key, "clock-out", str(entry_id))
    standing, actor, done = _standing(session, claims, request, at=at)
    if done:
        return done
    if standing.open_id == entry_id:
        return _clock_out(session, standing, actor, request, at=at)
    entry = session.execute(
        _ENTRY.where(visibility.in_sight(actor, ENTRY.c.user_id)), {"entry_id": entry_id}
    ).one_or_none()
    if entry is None:
        raise EntryNotFound("There is no such entry for you.")
    if entry.user_id != actor.id:
        raise NotYourEntry("Only the person who clocked in can clock out. Correct the entry instead.")
    raise AlreadyClockedOut("This entry is clocked out already.", entry_id=entry_id)


def clock_out_open(session: Session, claims: Claims, *, key: str | None = None, at: datetime) -> TimeEntryRead:
    """Close the caller's open entry, whichever it is, once per Idempotency-Key.

    Raises NotClockedIn, ClockBehind; KeyReused, RequestInFlight.
    """
    request = idempotency.once(key, "clock-out")
    standing, actor, done = _standing(session, claims, request, at=at)
    if done:
        return done
    if standing.open_id is None:
        raise NotClockedIn("You are not clocked in.")
    return _clock_out(session, standing, actor, request, at=at)


def close_for_deactivation(session: Session, actor: Actor, user_id: int, *, at: datetime) -> None:
    """Close the open entry of a person who is deactivated, if they have one. The person is locked."""
    row = session.execute(_OPEN_ENTRY, {"user_id": user_id}).one_or_none()
    if row is not None:
        ends = max(at, row.start_time)
        _close(session, actor.id, dict(row._mapping), action="time_entry:close_on_deactivation", at=ends)


def _standing(
    session: Session, claims: Claims, request: Once | None, *, project_id: int | None = None, at: datetime
) -> tuple[Row[Any], Actor, TimeEntryRead | None]:
    """Where the caller stands, who they are, and the answer to this request if it was done before."""
    wanted = shown(claims) | {"project_id": project_id} | ({"key": request.key} if request else {})
    statement = _STANDING_ONCE if request else _STANDING
    if project_id is not None:
        statement = _STARTING_ONCE if request else _STARTING
    with idempotency.waiting(request):
        locking = locks.lock_first(claims.user_id)
        row = session.execute(proven(statement, claims), wanted, execution_options=locking).one_or_none()
    actor = actor_from(session, row, claims)
    assert row is not None
    recorder.knows_head(session, actor.id, row.chain_length, row.last_link)
    if request is None:
        return row, actor, None
    return row, actor, idempotency.replay(request, TimeEntryRead, row.fingerprint, row.answer, row.kept_at, at=at)


def _check_may_start(standing: Row[Any], *, switch: bool) -> None:
    if standing.open_id is not None and not switch:
        raise AlreadyClockedIn(
            "You are clocked in already. Clock out first, or send switch=true.", entry_id=standing.open_id
        )
    if standing.project_id is None or not standing.project_is_bookable:
        raise ProjectNotFound("There is no such project for you.")
    if not standing.project_is_active:
        raise ProjectInactive("This project is archived. Choose another one.")


def _start(session: Session, standing: Row[Any], actor: Actor, wanted: ClockIn, *, at: datetime) -> TimeEntryRead:
    entry = entries.add(
        session,
        user_id=actor.id,
        time_zone=actor.time_zone,
        project_id=wanted.project_id,
        description=wanted.description,
        start_time=at,
        end_time=None,
        at=at,
        reserved_id=getattr(standing, "reserved_id", None),
    )
    recorder.record(
        session,
        "time_entry:clock_in",
        at=at,
        actor_id=actor.id,
        subject_id=actor.id,
        object_id=entry["id"],
        after=snapshot(entry),
    )
    return read(session, entry, now=at)


def _clock_out(
    session: Session, standing: Row[Any], actor: Actor, request: Once | None, *, at: datetime
) -> TimeEntryRead:
    at = _punch_instant(standing, at)
    closed = _close(session, actor.id, _open_entry(standing), action="time_entry:clock_out", at=at)
    answer = read(session, closed, now=at)
    _keep(session, standing, actor, request, answer, at=at)
    return answer


def _keep(
    session: Session, standing: Row[Any], actor: Actor, request: Once | None, answer: TimeEntryRead, *, at: datetime
) -> None:
    if request is not None:
        is_due = standing.oldest_key is not None and standing.oldest_key <= at - idempotency.KEPT_FOR
        idempotency.keep(session, actor.id, request, answer, purges=is_due, at=at)


def _close(session: Session, actor_id: int, entry: Entry, *, action: str, at: datetime) -> Entry:
    stale = is_stale(session, entry["start_time"], at)
    closed = entry | {"end_time": at, "needs_review": stale, "version": entry["version"] + 1, "updated_at": at}
    known = {"entry_id": entry["id"], "owner_id": entry["user_id"]}
    session.write_soon(_CLOSE, known | {"at": at, "is_stale": stale, "next_version": closed["version"]})
    recorder.record(
        session,
        action,
        at=at,
        actor_id=actor_id,
        subject_id=entry["user_id"],
        object_id=entry["id"],
        before=snapshot(entry),
        after=snapshot(closed),
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

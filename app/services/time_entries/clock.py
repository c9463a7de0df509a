"""Punches: clocking in and out.

Punches are the most frequent writes. One statement authenticates, locks the user and reads the state. One or two
statements write. All are built once, when the module is loaded. Every function here runs under the lock of the affected
user, and database constraints enforce the same rules.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Row, and_, bindparam, func, select, update

from app.core.database.dialect import next_id
from app.core.database.session import Session
from app.core.security.access_tokens import Claims
from app.core.time.clock import MAX_CLOCK_LAG
from app.models.tables import AUDIT_CHAIN, ENTRY, IDEMPOTENCY_KEY, PROJECT, USER
from app.schemas.time_entries.clock import ClockIn
from app.schemas.time_entries.entry import TimeEntryRead
from app.services import idempotency
from app.services.access import locks, visibility
from app.services.access.actor import Actor
from app.services.access.authentication import ACTOR_COLUMNS, actor_from_row, credential_params, require_credential
from app.services.audit import recorder
from app.services.idempotency import IdempotentRequest
from app.services.projects.errors import ProjectInactive, ProjectNotFound
from app.services.projects.projects import bookable_by
from app.services.time_entries import entries
from app.services.time_entries.entries import EntryValues, as_response, is_stale, snapshot
from app.services.time_entries.errors import (
    AlreadyClockedIn,
    AlreadyClockedOut,
    EntryNotFound,
    NotClockedIn,
    NotYourEntry,
    ServerClockSkew,
)

# A parameter instead of USER.c.id, so that PostgreSQL can prune the partitions of a database partitioned by user.
_USER_ID: BindParameter[int] = bindparam("user_id")
_OPEN_ALIAS = ENTRY.alias("open_entry")
_LAST_END_QUERY = (
    select(ENTRY.c.end_time)
    .where(ENTRY.c.user_id == _USER_ID, ENTRY.c.end_time.is_not(None))
    .order_by(ENTRY.c.start_time.desc())
    .limit(1)
)
# Entries do not overlap, so the last one to start is also the last one to end. The exception is an entry of 0 s, which
# may lie inside another entry. So there are two queries, and the later of their ends is the last end.
_LAST_END = _LAST_END_QUERY.scalar_subquery()
_LAST_WORKED_END = _LAST_END_QUERY.where(ENTRY.c.end_time > ENTRY.c.start_time).scalar_subquery()
# The state for a punch: the user, the open entry, the last end, the head of the audit chain and the requested project.
_STATE_QUERY = (
    select(
        *ACTOR_COLUMNS,
        *(column.label(f"open_{column.name}") for column in _OPEN_ALIAS.c),
        _LAST_END.label("last_end"),
        _LAST_WORKED_END.label("last_worked_end"),
        AUDIT_CHAIN.c.length.label("chain_length"),
        AUDIT_CHAIN.c.last_link,
        PROJECT.c.id.label("project_id"),
        PROJECT.c.is_active.label("project_is_active"),
        bookable_by(USER.c.id).label("project_is_bookable"),
    )
    .select_from(USER)
    .outerjoin(_OPEN_ALIAS, and_(_OPEN_ALIAS.c.user_id == _USER_ID, _OPEN_ALIAS.c.end_time.is_(None)))
    .outerjoin(AUDIT_CHAIN, AUDIT_CHAIN.c.chain_id == USER.c.id)
    .outerjoin(PROJECT, PROJECT.c.id == bindparam("project_id"))
    .where(USER.c.id == _USER_ID)
)
# With an Idempotency-Key, the query also reads the response stored under it, the creation time of the oldest key of all
# users (index lookup), and the number of the user's keys.
_USER_KEYS = IDEMPOTENCY_KEY.alias("user_key")
_STATE_QUERY_WITH_KEY = _STATE_QUERY.add_columns(
    IDEMPOTENCY_KEY.c.fingerprint,
    IDEMPOTENCY_KEY.c.answer,
    IDEMPOTENCY_KEY.c.created_at.label("stored_at"),
    select(func.min(IDEMPOTENCY_KEY.alias("any_key").c.created_at, type_=IDEMPOTENCY_KEY.c.created_at.type))
    .scalar_subquery()
    .label("oldest_key_at"),
    select(func.count()).where(_USER_KEYS.c.user_id == _USER_ID).scalar_subquery().label("key_count"),
).outerjoin(IDEMPOTENCY_KEY, and_(IDEMPOTENCY_KEY.c.user_id == USER.c.id, IDEMPOTENCY_KEY.c.key == bindparam("key")))
# On PostgreSQL, the id for the new entry, so that no extra round trip is needed to return it. A rejected
# punch leaves a gap in the ids.
_RESERVED_ID = next_id("time_entry_id_seq").label("reserved_id")
_CLOCK_IN_QUERY, _CLOCK_IN_QUERY_WITH_KEY = (
    statement.add_columns(_RESERVED_ID) for statement in (_STATE_QUERY, _STATE_QUERY_WITH_KEY)
)
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
_ENTRY_QUERY = select(ENTRY).where(ENTRY.c.id == bindparam("entry_id"))
_OPEN_ENTRY_QUERY = select(ENTRY).where(ENTRY.c.user_id == _USER_ID, ENTRY.c.end_time.is_(None))


def clock_in(
    session: Session, claims: Claims, data: ClockIn, *, switch: bool, key: str | None = None, at: datetime
) -> TimeEntryRead:
    """Open an entry for the caller, once per Idempotency-Key. With `switch`, close the open entry at the same instant.

    Raises AlreadyClockedIn, ProjectNotFound (also if the caller may not clock in on it), ProjectInactive,
    ServerClockSkew, IdempotencyKeyReused, RequestInFlight.
    """
    request = idempotency.for_key(key, "clock-in", data.model_dump_json(), str(switch))
    state, actor, stored_response = _load_state(session, claims, request, project_id=data.project_id, at=at)
    if stored_response:
        return stored_response
    _check_can_clock_in(state, switch=switch)
    at = _effective_instant(state, at)
    if state.open_id is not None:
        _close_entry(session, actor.id, _open_entry_from(state), action="time_entry:switch", at=at)
    response = _insert_open_entry(session, state, actor, data, at=at)
    _store_response(session, state, actor, request, response, at=at)
    return response


def clock_out(
    session: Session, claims: Claims, entry_id: int, *, key: str | None = None, at: datetime
) -> TimeEntryRead:
    """Close the caller's entry, once per Idempotency-Key.

    Raises EntryNotFound, NotYourEntry, AlreadyClockedOut, ServerClockSkew, IdempotencyKeyReused, RequestInFlight.
    """
    request = idempotency.for_key(key, "clock-out", str(entry_id))
    state, actor, stored_response = _load_state(session, claims, request, at=at)
    if stored_response:
        return stored_response
    if state.open_id == entry_id:
        return _clock_out(session, state, actor, request, at=at)
    entry = session.execute(
        _ENTRY_QUERY.where(visibility.visible_to(actor, ENTRY.c.user_id)), {"entry_id": entry_id}
    ).one_or_none()
    if entry is None:
        raise EntryNotFound("There is no entry with this id that you may see.")
    if entry.user_id != actor.id:
        raise NotYourEntry("Only the user who clocked in can clock out. Correct the entry instead.")
    raise AlreadyClockedOut("This entry is already closed. Correct it to change end_time.", entry_id=entry_id)


def clock_out_open(session: Session, claims: Claims, *, key: str | None = None, at: datetime) -> TimeEntryRead:
    """Close the caller's open entry, once per Idempotency-Key.

    Raises NotClockedIn, ServerClockSkew, IdempotencyKeyReused, RequestInFlight.
    """
    request = idempotency.for_key(key, "clock-out")
    state, actor, stored_response = _load_state(session, claims, request, at=at)
    if stored_response:
        return stored_response
    if state.open_id is None:
        raise NotClockedIn("You are not clocked in. Clock in first.")
    return _clock_out(session, state, actor, request, at=at)


def close_for_deactivation(session: Session, actor: Actor, user_id: int, *, at: datetime) -> None:
    """Close the open entry, if any, of a user who is being deactivated. The user's row must be locked."""
    row = session.execute(_OPEN_ENTRY_QUERY, {"user_id": user_id}).one_or_none()
    if row is not None:
        end_time = max(at, row.start_time)
        _close_entry(session, actor.id, dict(row._mapping), action="time_entry:close_on_deactivation", at=end_time)


def _load_state(
    session: Session, claims: Claims, request: IdempotentRequest | None, *, project_id: int | None = None, at: datetime
) -> tuple[Row[Any], Actor, TimeEntryRead | None]:
    """Lock the caller and return their state, the actor, and the stored response to this request, if any."""
    params = credential_params(claims) | {"project_id": project_id} | ({"key": request.key} if request else {})
    statement = _STATE_QUERY_WITH_KEY if request else _STATE_QUERY
    if project_id is not None:
        statement = _CLOCK_IN_QUERY_WITH_KEY if request else _CLOCK_IN_QUERY
    with idempotency.conflict_on_lock_timeout(request):
        lock_options = locks.user_lock_options(claims.user_id)
        row = session.core.execute(
            require_credential(statement, claims), params, execution_options=lock_options
        ).one_or_none()
    actor = actor_from_row(session, row, claims)
    assert row is not None
    recorder.cache_head(session, actor.id, row.chain_length, row.last_link)
    if request is None:
        return row, actor, None
    stored = (row.fingerprint, row.answer, row.stored_at)
    return row, actor, idempotency.replay(session, request, TimeEntryRead, *stored, at=at)


def _check_can_clock_in(state: Row[Any], *, switch: bool) -> None:
    if state.open_id is not None and not switch:
        raise AlreadyClockedIn(
            "You are already clocked in. Clock out first, or send switch=true.", entry_id=state.open_id
        )
    if state.project_id is None or not state.project_is_bookable:
        raise ProjectNotFound(
            "There is no project with this project_id that you may clock in on. GET /projects lists yours. An admin "
            "creates one with POST /admin/projects."
        )
    if not state.project_is_active:
        raise ProjectInactive("This project is archived. Choose another project_id.")


def _insert_open_entry(
    session: Session, state: Row[Any], actor: Actor, data: ClockIn, *, at: datetime
) -> TimeEntryRead:
    entry = entries.insert_entry(
        session,
        user_id=actor.id,
        time_zone=actor.time_zone,
        project_id=data.project_id,
        description=data.description,
        start_time=at,
        end_time=None,
        at=at,
        reserved_id=getattr(state, "reserved_id", None),
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
    return as_response(session, entry, now=at)


def _clock_out(
    session: Session, state: Row[Any], actor: Actor, request: IdempotentRequest | None, *, at: datetime
) -> TimeEntryRead:
    at = _effective_instant(state, at)
    closed = _close_entry(session, actor.id, _open_entry_from(state), action="time_entry:clock_out", at=at)
    response = as_response(session, closed, now=at)
    _store_response(session, state, actor, request, response, at=at)
    return response


def _store_response(
    session: Session,
    state: Row[Any],
    actor: Actor,
    request: IdempotentRequest | None,
    response: TimeEntryRead,
    *,
    at: datetime,
) -> None:
    if request is not None:
        purge = idempotency.is_purge_due(state.oldest_key_at, state.key_count, at=at)
        idempotency.store_response(session, actor.id, request, response, purge=purge, at=at)


def _close_entry(session: Session, actor_id: int, entry: EntryValues, *, action: str, at: datetime) -> EntryValues:
    stale = is_stale(session, entry["start_time"], at)
    closed = entry | {"end_time": at, "needs_review": stale, "version": entry["version"] + 1, "updated_at": at}
    params = {"entry_id": entry["id"], "owner_id": entry["user_id"]}
    session.execute_later(_CLOSE, params | {"at": at, "is_stale": stale, "next_version": closed["version"]})
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


def _effective_instant(state: Row[Any], at: datetime) -> datetime:
    """Return the instant of the punch, which is never before the last end or the start of the open entry.

    If the server's clock is up to MAX_CLOCK_LAG (5 s) behind, return the last end or the open start, whichever is
    later. Raises ServerClockSkew if it is further behind.
    """
    lower_bounds = (state.open_start_time, state.last_end, state.last_worked_end)
    earliest = max((instant for instant in lower_bounds if instant), default=at)
    if earliest - at > MAX_CLOCK_LAG:
        raise ServerClockSkew(
            "The server's clock is behind the time of your last punch. Retry later, and inform the operator."
        )
    return max(at, earliest)


def _open_entry_from(state: Row[Any]) -> EntryValues:
    return {column.name: getattr(state, f"open_{column.name}") for column in ENTRY.c}

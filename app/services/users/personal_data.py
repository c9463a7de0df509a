"""A user's personal data: export (GDPR, Art. 15 and 20) and erasure (Art. 17).

Erased: names, e-mail, personal values and reasons in the user's audit chain, comments on timesheets, stored responses,
credentials, and known addresses. Kept under a pseudonym: entries with their hours, projects and descriptions,
timesheets with their sums and digests, and the audit chain. The digests in the chain no longer disclose the values.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, Select, Table, delete, func, select, update

from app.core.database.column_types import Instant
from app.core.database.session import Session
from app.core.email_addresses import email_key
from app.core.security.passwords import UNUSABLE_PASSWORD
from app.core.server.spool import Write
from app.core.text import name_key
from app.models.tables import (
    API_TOKEN,
    AUDIT_EVENT,
    ENTRY,
    IDEMPOTENCY_KEY,
    KNOWN_ADDRESS,
    LOGIN_SESSION,
    PROJECT,
    PROJECT_MEMBER,
    REFUSED_LOGIN,
    REMINDER,
    TIMESHEET,
    USER,
)
from app.models.users import User
from app.schemas.auth.api_token import ApiTokenRead
from app.schemas.auth.session import SessionRead
from app.schemas.projects import ProjectRead
from app.schemas.types import UtcInstant
from app.schemas.users.personal_data import (
    KnownAddressRead,
    OwnTimesheet,
    PersonalDataAction,
    RefusedLoginRead,
    StoredResponse,
)
from app.schemas.users.user import AccountRead
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.audit.queries import EVENT_WITH_ACTOR, read_event
from app.services.auth import revocation
from app.services.time_entries.entries import ENTRY_WITH_PROJECT, as_response_with_project
from app.services.users.errors import RetentionNotExpired, UserStillActive

FETCH_SIZE = 20
"""Number of rows in memory. An audit event can have 20 KB."""
CHUNK_BYTES = 64 * 1024


class _ExportedAt(BaseModel):
    exported_at: UtcInstant


def record_export(session: Session, actor: Actor, *, at: datetime) -> None:
    """Record in the audit log that the actor exports their personal data."""
    recorder.record(session, "export:own_data", at=at, actor_id=actor.id, subject_id=actor.id)


def write_json(session: Session, actor: Actor, out: Write, *, at: datetime) -> None:
    """Write the actor's personal data as one JSON object (see PersonalData), in chunks, from one snapshot."""
    buffer = bytearray()
    with closing(_json_chunks(session, actor, at=at)) as chunks:
        for chunk in chunks:
            buffer += chunk
            if len(buffer) > CHUNK_BYTES:
                out(bytes(buffer))
                buffer.clear()
    out(bytes(buffer))


def erase(session: Session, user_id: int, *, at: datetime) -> str:
    """Replace a user's name and e-mail by a pseudonym everywhere, and return the pseudonym. Their hours are kept.

    Raises UserNotFound, UserStillActive. Raises RetentionNotExpired until RETENTION_DAYS after the user's last entry.
    """
    locks.lock_user_rules(session)
    (user,) = locks.lock_users(session, user_id)
    if user.is_active:
        raise UserStillActive(f"User {user_id} is active. Deactivate the user first.")
    _check_retention(session, user_id, at=at)
    _pseudonymise(user)
    session.flush()
    session.execute(delete(IDEMPOTENCY_KEY).where(IDEMPOTENCY_KEY.c.user_id == user_id))
    session.execute(update(TIMESHEET).where(TIMESHEET.c.user_id == user_id).values(comment=None))
    session.execute(delete(REMINDER).where(REMINDER.c.user_id == user_id))
    revocation.erase(session, user_id, at=at)
    recorder.record(
        session,
        recorder.ERASE_ACTION,
        at=at,
        actor_id=None,
        subject_id=user_id,
        object_id=user_id,
        secrets={"password_hash": user.password_hash},
    )
    # After the event, because a trigger allows this only if the last event of the chain is an erase event.
    event = AUDIT_EVENT
    statement = update(event).where(event.c.chain_id == user_id, event.c.personal.is_not(None)).values(personal=None)
    session.execute(statement)
    return f"{user.first_name} {user.last_name}"


def _json_chunks(session: Session, actor: Actor, *, at: datetime) -> Generator[bytes]:
    columns = (USER.c[name] for name in AccountRead.model_fields)
    user = session.execute(select(*columns).where(USER.c.id == actor.id)).one()
    yield _ExportedAt(exported_at=at).model_dump_json().encode()[:-1]
    yield b',"user":' + AccountRead.model_construct(**user._mapping).model_dump_json().encode()
    lists: dict[str, Iterable[BaseModel]] = {
        "memberships": (ProjectRead.model_validate(row) for row in _stream_rows(session, _memberships(actor))),
        "entries": (as_response_with_project(session, row, now=at) for row in _stream_rows(session, _entries(actor))),
        "timesheets": (
            OwnTimesheet.model_validate(row) for row in _stream_rows(session, _rows_of_user(TIMESHEET, actor))
        ),
        "events": (read_event(row) for row in _stream_rows(session, _events(actor))),
        "actions": (PersonalDataAction.model_validate(row) for row in _stream_rows(session, _actions_on_others(actor))),
        "stored_responses": (
            StoredResponse.model_validate(row) for row in _stream_rows(session, _stored_responses(actor))
        ),
        "sessions": (
            SessionRead.model_validate(row) for row in _stream_rows(session, _rows_of_user(LOGIN_SESSION, actor))
        ),
        "api_tokens": (
            ApiTokenRead.model_validate(row) for row in _stream_rows(session, _rows_of_user(API_TOKEN, actor))
        ),
        "known_addresses": (
            KnownAddressRead.model_validate(row) for row in _stream_rows(session, _rows_of_user(KNOWN_ADDRESS, actor))
        ),
        "refused_logins": (
            RefusedLoginRead.model_validate(row) for row in _stream_rows(session, _refused_logins(actor))
        ),
    }
    for name, items in lists.items():
        yield f',"{name}":['.encode()
        for number, item in enumerate(items):
            yield (b"," if number else b"") + item.model_dump_json().encode()
        yield b"]"
    yield b"}"


def _check_retention(session: Session, user_id: int, *, at: datetime) -> None:
    ended = func.coalesce(ENTRY.c.end_time, ENTRY.c.start_time, type_=Instant())
    last = session.execute(select(func.max(ended, type_=Instant())).where(ENTRY.c.user_id == user_id)).scalar()
    if last is not None and (retained_until := last + timedelta(days=session.settings.RETENTION_DAYS)) > at:
        raise RetentionNotExpired(
            f"The hours of user {user_id} must be kept with their name until {retained_until:%Y-%m-%d}."
        )


def _pseudonymise(user: User) -> None:
    for name, value in recorder.pseudonym(user.id or 0).items():
        setattr(user, name, value)
    user.name_key = name_key(f"{user.first_name} {user.last_name}")
    user.email_key = email_key(user.email)
    user.password_hash = UNUSABLE_PASSWORD
    user.has_second_factor = False


def _stream_rows(session: Session, statement: Select[Any]) -> Iterator[Row[Any]]:
    # Always closed, because a half-read statement keeps the SQLite connection on an old snapshot.
    with session.execute(statement, execution_options={"yield_per": FETCH_SIZE}) as rows:
        yield from rows


def _memberships(actor: Actor) -> Select[Any]:
    columns = (PROJECT.c[name] for name in ProjectRead.model_fields)
    members = select(*columns).join(PROJECT_MEMBER, PROJECT_MEMBER.c.project_id == PROJECT.c.id)
    return members.where(PROJECT_MEMBER.c.user_id == actor.id).order_by(PROJECT.c.id)


def _entries(actor: Actor) -> Select[Any]:
    return ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == actor.id).order_by(ENTRY.c.start_time, ENTRY.c.id)


def _events(actor: Actor) -> Select[Any]:
    return EVENT_WITH_ACTOR.where(AUDIT_EVENT.c.chain_id == actor.id).order_by(AUDIT_EVENT.c.position)


def _actions_on_others(actor: Actor) -> Select[Any]:
    event = AUDIT_EVENT.c
    columns = (event[name] for name in PersonalDataAction.model_fields)
    query = select(*columns).where(event.actor_id == actor.id, event.actor_id != event.chain_id)
    return query.order_by(event.at, event.chain_id, event.position)


def _stored_responses(actor: Actor) -> Select[Any]:
    columns = (IDEMPOTENCY_KEY.c[name] for name in StoredResponse.model_fields)
    return (
        select(*columns)
        .where(IDEMPOTENCY_KEY.c.user_id == actor.id)
        .order_by(IDEMPOTENCY_KEY.c.created_at, IDEMPOTENCY_KEY.c.key)
    )


def _refused_logins(actor: Actor) -> Select[Any]:
    own = REFUSED_LOGIN.c.chain_id == actor.id
    return select(REFUSED_LOGIN).where(own, REFUSED_LOGIN.c.first_at.is_not(None))


def _rows_of_user(table: Table, actor: Actor) -> Select[Any]:
    return select(table).where(table.c.user_id == actor.id).order_by(*table.primary_key)

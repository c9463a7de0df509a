"""A person's own data: all of it for themselves (GDPR, Art. 15 and 20), and its erasure when its time has come (17).

What is erased: names, e-mail, the reasons given in their history, kept answers, all that let them in and from where.
What stays: hours, projects and descriptions, under a pseudonym, and the record's chain, whose digests no longer say
what they stood for.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, Select, Table, delete, func, select, update

from app.core.database.column_types import Instant
from app.core.database.session import Session
from app.core.security.passwords import NO_PASSWORD
from app.core.server.spool import Write
from app.core.text import text_key
from app.models.tables import API_TOKEN, ENTRY, EVENT, KEY, KNOWN, MEMBER, PROJECT, SESSION, USER
from app.models.users import User
from app.schemas.auth.api_token import ApiTokenRead
from app.schemas.auth.session import SessionRead
from app.schemas.projects import ProjectRead
from app.schemas.types import UtcTime
from app.schemas.users.personal_data import Act, KeptAnswer, KnownAddressRead
from app.schemas.users.user import AccountRead
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.audit.queries import EVENT_WITH_ACTOR, read_event
from app.services.auth import revocation
from app.services.time_entries.entries import ENTRY_WITH_PROJECT, read_with_project
from app.services.users.errors import PersonIsActive, RetentionRuns

ROWS_AT_ONCE = 500
CHUNK_BYTES = 64 * 1024


class _ExportedAt(BaseModel):
    exported_at: UtcTime


def begin_export(session: Session, actor: Actor, *, at: datetime) -> None:
    """Let the actor take out what is stored about them, and note it in the record."""
    recorder.record(session, "export:own_data", at=at, actor_id=actor.id, subject_id=actor.id)


def write_json(session: Session, actor: Actor, out: Write, *, at: datetime) -> None:
    """Write everything stored about the actor as one JSON object (see PersonalData), from one snapshot, bit by bit."""
    waiting = bytearray()
    with closing(_pieces(session, actor, at=at)) as pieces:
        for piece in pieces:
            waiting += piece
            if len(waiting) > CHUNK_BYTES:
                out(bytes(waiting))
                waiting.clear()
    out(bytes(waiting))


def erase(session: Session, person_id: int, *, at: datetime) -> str:
    """Put a pseudonym in the place of a person's name and e-mail, everywhere; it is returned. Their hours stay.

    Raises UserNotFound, PersonIsActive, and RetentionRuns until RETENTION_DAYS after their last entry.
    """
    locks.lock_rules(session)
    (person,) = locks.lock(session, person_id)
    if person.is_active:
        raise PersonIsActive(f"Person {person_id} is active. Deactivate them first.")
    _check_retention(session, person_id, at=at)
    _pseudonymise(person)
    session.flush()
    session.execute(delete(KEY).where(KEY.c.user_id == person_id))
    revocation.erase(session, person_id, at=at)
    recorder.record(session, recorder.ERASE, at=at, actor_id=None, subject_id=person_id, object_id=person_id)
    # Behind the event that says so, and the database lets only that go.
    event = EVENT
    emptied = update(event).where(event.c.chain_id == person_id, event.c.personal.is_not(None)).values(personal=None)
    session.execute(emptied)
    return f"{person.first_name} {person.last_name}"


def _pieces(session: Session, actor: Actor, *, at: datetime) -> Generator[bytes]:
    columns = (USER.c[name] for name in AccountRead.model_fields)
    person = session.execute(select(*columns).where(USER.c.id == actor.id)).one()
    yield _ExportedAt(exported_at=at).model_dump_json().encode()[:-1]
    yield b',"user":' + AccountRead.model_construct(**person._mapping).model_dump_json().encode()
    lists: dict[str, Iterable[BaseModel]] = {
        "memberships": (ProjectRead.model_validate(row) for row in _rows(session, _memberships(actor))),
        "entries": (read_with_project(session, row, now=at) for row in _rows(session, _entries(actor))),
        "events": (read_event(row) for row in _rows(session, _events(actor))),
        "actions": (Act.model_validate(row) for row in _rows(session, _acts(actor))),
        "stored_responses": (KeptAnswer.model_validate(row) for row in _rows(session, _kept(actor))),
        "sessions": (SessionRead.model_validate(row) for row in _rows(session, _of(SESSION, actor))),
        "api_tokens": (ApiTokenRead.model_validate(row) for row in _rows(session, _of(API_TOKEN, actor))),
        "known_addresses": (KnownAddressRead.model_validate(row) for row in _rows(session, _of(KNOWN, actor))),
    }
    for name, items in lists.items():
        yield f',"{name}":['.encode()
        for number, item in enumerate(items):
            yield (b"," if number else b"") + item.model_dump_json().encode()
        yield b"]"
    yield b"}"


def _check_retention(session: Session, person_id: int, *, at: datetime) -> None:
    ended = func.coalesce(ENTRY.c.end_time, ENTRY.c.start_time, type_=Instant())
    last = session.execute(select(func.max(ended, type_=Instant())).where(ENTRY.c.user_id == person_id)).scalar()
    if last is not None and (ends := last + timedelta(days=session.settings.RETENTION_DAYS)) > at:
        raise RetentionRuns(f"The hours of person {person_id} must be kept with their name until {ends:%Y-%m-%d}.")


def _pseudonymise(person: User) -> None:
    person.first_name, person.last_name = "Erased", f"Person {person.id}"
    person.name_key = text_key(f"{person.first_name} {person.last_name}")
    person.email = f"erased-{person.id}@erased.invalid"  # RFC 2606: a domain that will never be
    person.email_key = text_key(person.email)
    person.password_hash = NO_PASSWORD
    person.has_second_factor = False


def _rows(session: Session, statement: Select[Any]) -> Iterator[Row[Any]]:
    # Closed whatever happens: a statement read half-way keeps an SQLite connection in the past.
    with session.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE}) as rows:
        yield from rows


def _memberships(actor: Actor) -> Select[Any]:
    columns = (PROJECT.c[name] for name in ProjectRead.model_fields)
    members = select(*columns).join(MEMBER, MEMBER.c.project_id == PROJECT.c.id)
    return members.where(MEMBER.c.user_id == actor.id).order_by(PROJECT.c.id)


def _entries(actor: Actor) -> Select[Any]:
    return ENTRY_WITH_PROJECT.where(ENTRY.c.user_id == actor.id).order_by(ENTRY.c.start_time, ENTRY.c.id)


def _events(actor: Actor) -> Select[Any]:
    return EVENT_WITH_ACTOR.where(EVENT.c.chain_id == actor.id).order_by(EVENT.c.position)


def _acts(actor: Actor) -> Select[Any]:
    event = EVENT.c
    columns = (event[name] for name in Act.model_fields)
    on_others = select(*columns).where(event.actor_id == actor.id, event.actor_id != event.chain_id)
    return on_others.order_by(event.at, event.chain_id, event.position)


def _kept(actor: Actor) -> Select[Any]:
    columns = (KEY.c[name] for name in KeptAnswer.model_fields)
    return select(*columns).where(KEY.c.user_id == actor.id).order_by(KEY.c.created_at, KEY.c.key)


def _of(table: Table, actor: Actor) -> Select[Any]:
    return select(table).where(table.c.user_id == actor.id).order_by(*table.primary_key)

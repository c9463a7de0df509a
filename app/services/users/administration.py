"""People, as admins run them. Changes of role, active flag and manager keep two rules that span people:
there is always an active admin, and managers never form a circle."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Select, String, bindparam, func, or_, select, type_coerce

from app.core.database.dialect import instant_text, upsert
from app.core.database.execution_options import PLANNED_ONCE
from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.security.passwords import PasswordHasher
from app.core.text import text_key
from app.models.tables import USER, ZONE
from app.models.users import Role, User
from app.schemas.users.user import AccountRead, NewPerson, UserCreate, UserFilter, UserUpdate
from app.services.access import locks, visibility
from app.services.access.actor import Actor
from app.services.access.authentication import check_caller
from app.services.access.errors import ScopeNeeded, UserNotFound
from app.services.audit import recorder
from app.services.auth import passwords, revocation
from app.services.time_entries import clock
from app.services.users.errors import (
    EmailTaken,
    HasReports,
    LastAdmin,
    ManagerCycle,
    ManagerInactive,
    ManagerInvalid,
    ManagerIsSelf,
    ManagerNotFound,
)

RECORDED = ("email", "first_name", "last_name", "role", "is_active", "manager_id", "time_zone", "must_change_password")

_COUNT = select(func.count()).select_from(USER).execution_options(**{PLANNED_ONCE: True})
# The fields of AccountRead as JSON has them: a model for each person would take longer than all the rest of a page.
_AS_JSON = {"role": type_coerce(USER.c.role, String), "created_at": instant_text(USER.c.created_at)}
_ACCOUNTS = select(*(_AS_JSON.get(name, USER.c[name]).label(name) for name in AccountRead.model_fields))
_SKIPPED = USER.alias("skipped")
_FIRST_ID = select(_SKIPPED.c.id).order_by(_SKIPPED.c.id).offset(bindparam("skip")).limit(1).scalar_subquery()
# A page of all people: what is skipped is skipped in the index alone.
_EVERYBODY = (
    _ACCOUNTS.where(USER.c.id >= _FIRST_ID)
    .order_by(USER.c.id)
    .limit(bindparam("limit"))
    .execution_options(**{PLANNED_ONCE: True})
)


def create(
    session: Session,
    actor: Actor | None,
    wanted: NewPerson,
    *,
    password_hash: str,
    must_change_password: bool = False,
    at: datetime,
) -> User:
    """Add a person; `actor` is None where the operator does it. Raises EmailTaken and what a bad manager raises."""
    if wanted.manager_id is not None:
        locks.lock_rules(session)
        _check_manager(session, wanted.manager_id)
    check_may_make(actor, wanted.role)
    _check_email_free(session, wanted.email)
    person = User(**as_row(session, wanted, password_hash=password_hash, at=at))
    person.must_change_password = must_change_password
    register_zone(session, person.time_zone)
    session.add(person)
    session.flush()
    recorder.record(
        session,
        "user:create",
        at=at,
        actor_id=actor.id if actor else None,
        subject_id=person.id,
        object_id=person.id,
        after=_snapshot(person),
    )
    return person


async def add_user(
    tx: CallerTransactionRunner[Actor | None], hasher: PasswordHasher, wanted: UserCreate, *, at: datetime
) -> User:
    """Add a person, with the hash of the password that they are given, if any.

    Raises WeakPassword, TooManyLogins, and as `create`.
    """
    await tx.read(check_caller)
    password_hash = await hasher.hash(wanted.password)
    return await tx.write(create_with_password, wanted, password_hash=password_hash, at=at)


def create_with_password(
    session: Session, actor: Actor | None, wanted: UserCreate, *, password_hash: str, at: datetime
) -> User:
    """Add a person as an admin, who may ask that they change the password that they are given. Raises as `create`."""
    is_given = wanted.password is not None
    must_change = is_given and passwords.must_be_changed(session, wanted.must_change_password)
    return create(session, actor, wanted, password_hash=password_hash, must_change_password=must_change, at=at)


def as_row(session: Session, wanted: NewPerson, *, password_hash: str, at: datetime) -> dict[str, Any]:
    """The columns of a new person; the database gives the id."""
    return {
        "email": wanted.email,
        "email_key": text_key(wanted.email),
        "first_name": wanted.first_name,
        "last_name": wanted.last_name,
        "name_key": text_key(f"{wanted.first_name} {wanted.last_name}"),
        "password_hash": password_hash,
        "role": wanted.role,
        "is_active": True,
        "manager_id": wanted.manager_id,
        "time_zone": wanted.time_zone or session.settings.DEFAULT_TIME_ZONE,
        "must_change_password": False,
        "has_second_factor": False,
        "created_at": at,
    }


def page(session: Session, _actor: Actor, wanted: UserFilter, *, skip: int, limit: int) -> tuple[bytes, int]:
    """People that fit the filter, by id, as the JSON of a list of AccountRead, and how many there are in all."""
    if wanted == UserFilter():
        total = session.execute(_COUNT).scalar_one()
        rows = session.execute(_EVERYBODY, {"skip": skip, "limit": limit})
    else:
        total = session.execute(_matching(select(func.count()).select_from(USER), wanted)).scalar_one()
        matching = _matching(_ACCOUNTS, wanted)
        rows = session.execute(matching.order_by(USER.c.id).offset(skip).limit(limit))
    return to_json([dict(row._mapping) for row in rows]), total


def team(session: Session, actor: Actor, *, skip: int, limit: int) -> tuple[Sequence[User], int]:
    """The people whom the actor may see, themselves included, by id, and how many there are in all."""
    seen = visibility.in_sight(actor, USER.c.id)
    total = session.execute(select(func.count()).select_from(USER).where(seen)).scalar_one()
    found = session.scalars(select(User).where(seen).order_by(USER.c.id).offset(skip).limit(limit)).all()
    return found, total


def get(session: Session, _actor: Actor, user_id: int) -> User:
    """The person. Raises UserNotFound."""
    person = session.get(User, user_id)
    if person is None:
        raise UserNotFound("There is no such person.")
    return person


def change(session: Session, actor: Actor, user_id: int, wanted: UserUpdate, *, at: datetime) -> User:
    """Change a person's e-mail, names, zone or role. Raises UserNotFound, EmailTaken, LastAdmin, HasReports."""
    changes = wanted.model_dump(exclude_unset=True)
    if "role" in changes:
        locks.lock_rules(session)
    (person,) = locks.lock(session, user_id)
    if "role" in changes and changes["role"] is not person.role:
        check_may_make(actor, changes["role"])
        _check_demotion(session, person, changes["role"])
    if "email" in changes and text_key(changes["email"]) != person.email_key:
        _check_email_free(session, changes["email"])
        passwords.forget_link(session, user_id)  # it went to the old address, which may be somebody else's
    apply(session, actor, person, changes, action="user:change", at=at)
    return person


def deactivate(session: Session, actor: Actor, user_id: int, *, at: datetime) -> User:
    """Deactivate a person: tokens die at once, an open entry is closed at this instant. Raises LastAdmin."""
    locks.lock_rules(session)
    (person,) = locks.lock(session, user_id)
    if person.is_active:
        _check_admin_remains(session, person)
        clock.close_for_deactivation(session, actor, user_id, at=at)
        revocation.revoke_all(session, actor.id, user_id, at=at)
        apply(session, actor, person, {"is_active": False}, action="user:deactivate", at=at)
    return person


def activate(session: Session, actor: Actor, user_id: int, *, at: datetime) -> User:
    """Let a person in again; tokens from before stay dead. Raises UserNotFound."""
    locks.lock_rules(session)
    (person,) = locks.lock(session, user_id)
    apply(session, actor, person, {"is_active": True}, action="user:activate", at=at)
    return person


def assign_manager(session: Session, actor: Actor, user_id: int, manager_id: int, *, at: datetime) -> User:
    """Put a person into a manager's team.

    Raises UserNotFound, ManagerNotFound, ManagerIsSelf, ManagerInvalid, ManagerInactive, ManagerCycle.
    """
    locks.lock_rules(session)
    (person,) = locks.lock(session, user_id)
    if manager_id == user_id:
        raise ManagerIsSelf("Nobody can be their own manager. Choose somebody else.")
    _check_manager(session, manager_id)
    below = visibility.team_ids(user_id, include_indirect=True).subquery()
    if session.execute(select(below.c.id).where(below.c.id == manager_id)).first() is not None:
        raise ManagerCycle("This manager reports to that person, directly or not. Reassign the manager first.")
    apply(session, actor, person, {"manager_id": manager_id}, action="user:assign_manager", at=at)
    return person


def remove_manager(session: Session, actor: Actor, user_id: int, *, at: datetime) -> User:
    """Leave a person without a manager. Raises UserNotFound."""
    locks.lock_rules(session)
    (person,) = locks.lock(session, user_id)
    apply(session, actor, person, {"manager_id": None}, action="user:remove_manager", at=at)
    return person


def apply(session: Session, actor: Actor, person: User, changes: dict[str, Any], *, action: str, at: datetime) -> None:
    """Write the changes to a locked person, with one event that says what differs; nothing where nothing does."""
    before = _snapshot(person)
    if "email" in changes:
        person.email_key = text_key(changes["email"])
    if "time_zone" in changes:
        register_zone(session, changes["time_zone"])
    for name, value in changes.items():
        setattr(person, name, value)
    person.name_key = text_key(f"{person.first_name} {person.last_name}")
    was, now = recorder.changes(before, _snapshot(person))
    if not now:
        return
    session.flush()
    recorder.record(
        session, action, at=at, actor_id=actor.id, subject_id=person.id, object_id=person.id, before=was, after=now
    )


def register_zone(session: Session, name: str) -> None:
    """Note that entries can carry this zone from now on."""
    session.execute(upsert(ZONE).values(name=name).on_conflict_do_nothing())


def check_may_make(actor: Actor | None, role: Role) -> None:
    """Raises ScopeNeeded where an API token would make an admin, as whom its holder could then log in."""
    if actor is not None and actor.session_id is None and role is Role.admin:
        raise ScopeNeeded("No API token makes an admin. Log in.")


def _matching(statement: Select[Any], wanted: UserFilter) -> Select[Any]:
    if wanted.role is not None:
        statement = statement.where(USER.c.role == wanted.role)
    if wanted.is_active is not None:
        statement = statement.where(USER.c.is_active == wanted.is_active)
    if wanted.manager_id is not None:
        statement = statement.where(USER.c.manager_id == wanted.manager_id)
    if wanted.search is not None:
        key = text_key(wanted.search)
        found = or_(USER.c.name_key.contains(key, autoescape=True), USER.c.email_key.contains(key, autoescape=True))
        statement = statement.where(found)
    return statement


def _snapshot(person: User) -> dict[str, Any]:
    return {name: getattr(person, name) for name in RECORDED}


def _check_email_free(session: Session, email: str) -> None:
    if session.execute(select(USER.c.id).where(USER.c.email_key == text_key(email))).first() is not None:
        raise EmailTaken("Another person has this e-mail.")


def _check_manager(session: Session, manager_id: int) -> None:
    manager = session.execute(select(USER.c.role, USER.c.is_active).where(USER.c.id == manager_id)).one_or_none()
    if manager is None:
        raise ManagerNotFound("There is no person with the manager's id.")
    if manager.role not in (Role.manager, Role.admin):
        raise ManagerInvalid("This person is an employee. Make them a manager first, or choose somebody else.")
    if not manager.is_active:
        raise ManagerInactive("This manager is deactivated. Choose somebody else.")


def _check_demotion(session: Session, person: User, role: Role) -> None:
    if person.role is Role.admin:
        _check_admin_remains(session, person)
    if role is Role.employee and session.execute(select(USER.c.id).where(USER.c.manager_id == person.id)).first():
        raise HasReports("People report to this person. Give them another manager first.")


def _check_admin_remains(session: Session, person: User) -> None:
    if person.role is not Role.admin or not person.is_active:
        return
    others = select(USER.c.id).where(USER.c.role == Role.admin, USER.c.is_active, USER.c.id != person.id)
    if session.execute(others).first() is None:
        raise LastAdmin("This is the last active admin. Make somebody else an admin first.")

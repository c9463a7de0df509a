"""Administration of users.

Changes of role, active flag and manager keep two rules that span users. There is always an active admin, and managers
never form a cycle. `locks.lock_user_rules` serialises these changes.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select

from app.core.database.dialect import upsert
from app.core.database.execution_options import PREPARE
from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.email_addresses import email_key
from app.core.security.passwords import UNUSABLE_PASSWORD, PasswordHasher
from app.core.text import name_key
from app.models.tables import TIME_ZONE, USER
from app.models.users import User
from app.schemas.auth.password import PasswordSet
from app.schemas.users.user import DeactivatedUser, NewUser, UserCreate, UserUpdate, UserWithActions
from app.services import period_locks
from app.services.access import locks, visibility
from app.services.access.actor import Actor
from app.services.access.api_token_limits import lock_for_change, require_login_session
from app.services.access.authentication import check_caller
from app.services.audit import recorder
from app.services.auth import passwords, revocation
from app.services.time_entries import clock
from app.services.users import rights, role_rules
from app.services.users.errors import EmailTaken, ManagerCycle, ManagerIsSelf

AUDITED_FIELDS = (
    "email",
    "first_name",
    "last_name",
    "role",
    "is_active",
    "manager_id",
    "time_zone",
    "must_change_password",
)

_COUNT = select(func.count()).select_from(USER).execution_options(**{PREPARE: True})
_ACTIVE_REPORTS = _COUNT.where(USER.c.manager_id == bindparam("manager_id"), USER.c.is_active)


def create(
    session: Session,
    actor: Actor | None,
    data: NewUser,
    *,
    password_hash: str,
    must_change_password: bool = False,
    at: datetime,
) -> User:
    """Create a user. `actor` is None for the operator.

    Raises EmailTaken, ManagerNotFound, ManagerInvalid, ManagerInactive. For an API token, raises ScopeRequired if the
    user gets a password, and the errors of `check_may_create_role` and `check_may_assign`.
    """
    role_rules.check_may_create_role(actor, data.role)
    if password_hash != UNUSABLE_PASSWORD:
        require_login_session(actor, "create a user with a password")
    if data.manager_id is not None:
        locks.lock_user_rules(session)
        role_rules.check_manager(session, actor, data.manager_id)
    _check_email_available(session, data.email)
    user = User(**as_row(session, data, password_hash=password_hash, at=at))
    user.must_change_password = must_change_password
    register_zone(session, user.time_zone)
    session.add(user)
    session.flush()
    recorder.record(
        session,
        "user:create",
        at=at,
        actor_id=actor.id if actor else None,
        subject_id=user.id,
        object_id=user.id,
        after=_snapshot(user),
        secrets={"password_hash": password_hash},
    )
    return user


async def add_user(
    tx: CallerTransactionRunner[Actor | None], hasher: PasswordHasher, data: UserCreate, *, at: datetime
) -> UserWithActions:
    """Hash the password, if there is one, and create the user.

    Raises WeakPassword, LoginQueueFull, and the errors of `create`.
    """
    await tx.read(check_caller)
    password_hash = await hasher.hash(data.password, network=None)
    return await tx.write(create_with_password, data, password_hash=password_hash, at=at)


def create_with_password(
    session: Session, actor: Actor | None, data: UserCreate, *, password_hash: str, at: datetime
) -> UserWithActions:
    """Create a user with an initial password, which they may have to change. Raises the errors of `create`."""
    is_given = data.password is not None
    must_change = is_given and passwords.resolve_must_change(session, data.must_change_password)
    user = create(session, actor, data, password_hash=password_hash, must_change_password=must_change, at=at)
    return rights.respond(session, actor, user, at=at)


def as_row(session: Session, data: NewUser, *, password_hash: str, at: datetime) -> dict[str, Any]:
    """Build the columns of a new user, without the id."""
    return {
        "email": data.email,
        "email_key": email_key(data.email),
        "first_name": data.first_name,
        "last_name": data.last_name,
        "name_key": name_key(f"{data.first_name} {data.last_name}"),
        "password_hash": password_hash,
        "role": data.role,
        "is_active": True,
        "manager_id": data.manager_id,
        "time_zone": data.time_zone or session.settings.DEFAULT_TIME_ZONE,
        "must_change_password": False,
        "has_second_factor": False,
        "created_at": at,
    }


def change(session: Session, actor: Actor, user_id: int, data: UserUpdate, *, at: datetime) -> UserWithActions:
    """Change a user's e-mail, names, time zone or role.

    Raises UserNotFound, EmailTaken, LastAdmin, HasReports, TimesheetLocked. For an API token, raises ScopeRequired if
    the user is an admin, gets another e-mail, or gets a role with more rights.
    """
    changes = data.model_dump(exclude_unset=True)
    if "role" in changes:
        locks.lock_user_rules(session)
    user = lock_for_change(session, actor, user_id)
    if changes.get("role", user.role) is not user.role:
        last_admin, managers = role_rules.find_last_admin(session), role_rules.find_managers(session, [user_id])
        role_rules.check_new_role(actor, user, changes["role"], last_admin=last_admin, managers=managers)
    if changes.get("email", user.email) != user.email:
        role_rules.check_new_email(actor)
    if "email" in changes and email_key(changes["email"]) != user.email_key:
        _check_email_available(session, changes["email"])
        passwords.delete_link(session, user_id)  # it was sent to the old address
    apply_changes(session, actor, user, changes, action="user:change", at=at)
    return rights.respond(session, actor, user, at=at)


def deactivate(session: Session, actor: Actor, user_id: int, *, at: datetime) -> DeactivatedUser:
    """Deactivate a user. Their tokens are revoked, and their open entry is closed at `at`.

    Direct reports keep this manager until they are reassigned. The result says how many are active.

    Raises UserNotFound, LastAdmin, and the errors of `lock_for_change`.
    """
    locks.lock_user_rules(session)
    user = lock_for_change(session, actor, user_id)
    if user.is_active:
        role_rules.check_admin_remains(user, role_rules.find_last_admin(session))
        clock.close_for_deactivation(session, actor, user_id, at=at)
        revocation.revoke_all(session, actor.id, user_id, at=at)
        apply_changes(session, actor, user, {"is_active": False}, action="user:deactivate", at=at)
    active_reports = session.execute(_ACTIVE_REPORTS, {"manager_id": user_id}).scalar_one()
    response = rights.respond(session, actor, user, at=at)
    return DeactivatedUser.model_construct(**dict(response), active_reports=active_reports)


def activate(session: Session, actor: Actor, user_id: int, *, at: datetime) -> UserWithActions:
    """Activate a user. Tokens that were revoked stay revoked.

    Raises UserNotFound, ScopeRequired. Raises TimesheetLocked if the present period was submitted meanwhile.
    """
    locks.lock_user_rules(session)
    user = lock_for_change(session, actor, user_id)
    role_rules.check_activation(session, actor, user, at=at)
    apply_changes(session, actor, user, {"is_active": True}, action="user:activate", at=at)
    return rights.respond(session, actor, user, at=at)


def assign_manager(session: Session, actor: Actor, user_id: int, manager_id: int, *, at: datetime) -> UserWithActions:
    """Add a user to a manager's team.

    Raises UserNotFound, ManagerNotFound, ManagerIsSelf, ManagerInvalid, ManagerInactive, ManagerCycle, and the errors
    of `lock_for_change` and `check_may_assign`.
    """
    locks.lock_user_rules(session)
    user = lock_for_change(session, actor, user_id)
    if manager_id == user_id:
        raise ManagerIsSelf("A user cannot be their own manager. Choose another manager.")
    role_rules.check_manager(session, actor, manager_id)
    team = visibility.team_ids(user_id, include_indirect=True).subquery()
    if session.execute(select(team.c.id).where(team.c.id == manager_id)).first() is not None:
        raise ManagerCycle("This manager reports to the user, directly or indirectly. Reassign this manager first.")
    apply_changes(session, actor, user, {"manager_id": manager_id}, action="user:assign_manager", at=at)
    return rights.respond(session, actor, user, at=at)


def remove_manager(session: Session, actor: Actor, user_id: int, *, at: datetime) -> UserWithActions:
    """Remove a user from their manager's team. Raises UserNotFound, ScopeRequired."""
    locks.lock_user_rules(session)
    user = lock_for_change(session, actor, user_id)
    apply_changes(session, actor, user, {"manager_id": None}, action="user:remove_manager", at=at)
    return rights.respond(session, actor, user, at=at)


async def set_password(
    tx: CallerTransactionRunner[Actor], hasher: PasswordHasher, user_id: int, data: PasswordSet, *, at: datetime
) -> UserWithActions:
    """Set another user's password. Raises WeakPassword, LoginQueueFull, the errors of `passwords.set_by_admin`."""
    await tx.read(check_caller)
    password_hash = await hasher.hash(data.password, network=None)
    return await tx.write(_set_password, user_id, data, password_hash=password_hash, at=at)


def apply_changes(
    session: Session, actor: Actor, user: User, changes: dict[str, Any], *, action: str, at: datetime
) -> None:
    """Apply the changes to a locked user, and record the fields that differ. If none differ, record nothing.

    Raises TimesheetLocked if today would be in a locked timesheet in the new time zone.
    """
    before = _snapshot(user)
    if "email" in changes:
        user.email_key = email_key(changes["email"])
    if changes.get("time_zone", user.time_zone) != user.time_zone:
        period_locks.check_present_day(session, user.id or 0, changes["time_zone"], at=at)
        register_zone(session, changes["time_zone"])
    for name, value in changes.items():
        setattr(user, name, value)
    user.name_key = name_key(f"{user.first_name} {user.last_name}")
    old_values, new_values = recorder.changes(before, _snapshot(user))
    if not new_values:
        return
    session.flush()
    recorder.record(
        session,
        action,
        at=at,
        actor_id=actor.id,
        subject_id=user.id,
        object_id=user.id,
        before=old_values,
        after=new_values,
    )


def register_zone(session: Session, name: str) -> None:
    """Add the zone to the table of zones that entries may have."""
    session.execute(upsert(TIME_ZONE).values(name=name).on_conflict_do_nothing())


def _set_password(
    session: Session, actor: Actor, user_id: int, data: PasswordSet, *, password_hash: str, at: datetime
) -> UserWithActions:
    user = passwords.set_by_admin(session, actor, user_id, data, password_hash=password_hash, at=at)
    return rights.respond(session, actor, user, at=at)


def _snapshot(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in AUDITED_FIELDS}


def _check_email_available(session: Session, email: str) -> None:
    if session.execute(select(USER.c.id).where(USER.c.email_key == email_key(email))).first() is not None:
        raise EmailTaken("Another user has this e-mail. Choose another one.")

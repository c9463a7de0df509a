"""Factories for the users, projects and entries that exist before a test acts."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from passlib.hash import argon2
from sqlalchemy import insert, select
from sqlalchemy.orm import make_transient_to_detached

from app.core.database.session import Database, Session
from app.core.time.clock import utc_now
from app.models.projects import Project
from app.models.tables import ENTRY, PROJECT_MEMBER, USER
from app.models.users import Role, User
from app.schemas.projects import ProjectCreate, ProjectUpdate
from app.schemas.users.user import NewUser
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.projects import projects
from app.services.time_entries import entries
from app.services.users import administration

PASSWORD = "violet-harbour-42-lantern"
OPERATOR = Actor(2_000_000_000, Role.admin, "UTC", session_id=2_000_000_000)
"""An admin who is not in the database."""
_INSERT_USER = insert(USER).returning(USER.c.id)
_INSERT_ENTRY = insert(ENTRY).returning(ENTRY.c.id)


@cache
def password_hash() -> str:
    """Return the hash of PASSWORD, which all users of the tests share.

    It has the least cost that argon2id allows, because most logins of the tests only need a session. A login takes the
    cost from the hash. Passwords set by the service have its cost.
    """
    return str(argon2.using(type="ID", memory_cost=8, rounds=1, parallelism=1).hash(PASSWORD))


def instant(text: str) -> datetime:
    """Parse a UTC instant such as `2026-03-02 08:00`, with or without seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Company:
    """Create users by first name. All users have the given time zone unless the call names another."""

    records_events = False
    """True to record an audit event for each entry, member, login (`as_user`), deactivated user and archived project.
    Events of new users and projects are always recorded."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._zones: set[str] = set()

    def employee(self, name: str, **fields: Any) -> User:
        return self._create_user(name, Role.employee, **fields)

    def manager(self, name: str, **fields: Any) -> User:
        return self._create_user(name, Role.manager, **fields)

    def admin(self, name: str, **fields: Any) -> User:
        return self._create_user(name, Role.admin, **fields)

    def project(
        self, name: str, *, members: tuple[User, ...] = (), is_active: bool = True, code: str | None = None
    ) -> Project:
        with self._database.write_transaction("test") as session:
            project = projects.create(session, None, ProjectCreate(name=name, code=code), at=utc_now())
            if self.records_events:
                projects.change(session, OPERATOR, project.id, ProjectUpdate(is_active=is_active), at=utc_now())
                for member in members:
                    projects.add_member(session, OPERATOR, project.id, member.id, at=utc_now())
                return project
            project.is_active = is_active
            session.flush()
            for member in members:
                session.execute(insert(PROJECT_MEMBER).values(project_id=project.id, user_id=member.id))
        return project

    def entry(self, user: User, project: Project, start: str, end: str | None, **fields: Any) -> int:
        """Create a closed or open entry in the past. Instants are in UTC; the zone is the user's unless given."""
        values = {
            "user_id": user.id,
            "project_id": project.id,
            "start_time": instant(start),
            "end_time": instant(end) if end else None,
            "description": "",
            "time_zone": user.time_zone,
            "needs_review": False,
            "version": 1,
            "created_at": instant(start),
            "updated_at": instant(start),
        } | fields
        with self._database.write_transaction("test") as session:
            self._register_zone(session, values["time_zone"])
            entry_id = int(session.execute(_INSERT_ENTRY, values).scalar_one())
            if self.records_events:
                event = {"actor_id": user.id, "subject_id": user.id, "object_id": entry_id}
                after = entries.snapshot(values)
                recorder.record(session, "time_entry:create", at=values["created_at"], after=after, **event)
        return entry_id

    def reload(self, user: User) -> User:
        """Return the user as stored in the database now."""
        with self._database.read_transaction() as session:
            return session.scalars(select(User).where(USER.c.id == user.id)).one()

    def _create_user(
        self, name: str, role: Role, *, manager: User | None = None, is_active: bool = True, **fields: Any
    ) -> User:
        data = NewUser(
            email=fields.get("email", f"{name.lower().replace(' ', '.')}@example.com"),
            first_name=fields.get("first_name", name),
            last_name=fields.get("last_name", "Silva"),
            role=role,
            manager_id=manager.id if manager else None,
            time_zone=fields.get("time_zone", "UTC"),
        )
        with self._database.write_transaction("test") as session:
            row = administration.as_row(session, data, password_hash=password_hash(), at=utc_now())
            self._register_zone(session, row["time_zone"])
            user = User(id=session.execute(_INSERT_USER, row).scalar_one(), **row)
            make_transient_to_detached(user)
            created = {name: row[name] for name in administration.AUDITED_FIELDS}
            secrets = {"password_hash": password_hash()}
            recorder.record_created_users(
                session, "user:create", [(user.id or 0, created)], secrets=secrets, at=row["created_at"], actor_id=None
            )
            if not is_active:
                self._deactivate(session, user)
        return user

    def _deactivate(self, session: Session, user: User) -> None:
        session.add(user)
        if self.records_events:
            changes = {"is_active": False}
            administration.apply_changes(session, OPERATOR, user, changes, action="user:deactivate", at=utc_now())
        user.is_active = False

    def _register_zone(self, session: Session, name: str) -> None:
        if name not in self._zones:
            administration.register_zone(session, name)
            self._zones.add(name)

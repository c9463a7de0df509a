"""Projects: admins run them, people book them. One with members is booked by its members, one without by everyone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, insert, or_, select, true

from app.core.database.session import Session
from app.core.text import text_key
from app.models.projects import Project
from app.models.tables import MEMBER, PROJECT, USER
from app.models.users import User
from app.schemas.projects import ProjectCreate, ProjectUpdate
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.projects.errors import ProjectNameTaken, ProjectNotFound


def bookable_by(user_id: ColumnElement[int] | int) -> ColumnElement[bool]:
    """The condition that the person may book a project, archived or not."""
    has_members = exists().where(MEMBER.c.project_id == PROJECT.c.id)
    is_member = exists().where(MEMBER.c.project_id == PROJECT.c.id, MEMBER.c.user_id == user_id)
    return or_(~has_members, is_member)


def bookable(session: Session, actor: Actor, *, skip: int, limit: int) -> tuple[Sequence[Project], int]:
    """The active projects that the actor may book, by id, and how many there are in all."""
    return _page(session, PROJECT.c.is_active & bookable_by(actor.id), skip=skip, limit=limit)


def page(
    session: Session, _actor: Actor, *, is_active: bool | None, search: str | None, skip: int, limit: int
) -> tuple[Sequence[Project], int]:
    """All projects that fit, by id, and how many there are in all."""
    wanted: ColumnElement[bool] = true()
    if is_active is not None:
        wanted &= PROJECT.c.is_active == is_active
    if search is not None:
        wanted &= PROJECT.c.name_key.contains(text_key(search), autoescape=True)
    return _page(session, wanted, skip=skip, limit=limit)


def get(session: Session, _actor: Actor, project_id: int) -> Project:
    """The project. Raises ProjectNotFound."""
    project = session.get(Project, project_id)
    if project is None:
        raise ProjectNotFound("There is no such project.")
    return project


def create(session: Session, actor: Actor | None, wanted: ProjectCreate, *, at: datetime) -> Project:
    """Add a project that everyone can book. Raises ProjectNameTaken."""
    _check_name_free(session, wanted.name)
    project = Project(name=wanted.name, name_key=text_key(wanted.name), created_at=at)
    session.add(project)
    session.flush()
    actor_id = actor.id if actor else None
    recorder.record(session, "project:create", at=at, actor_id=actor_id, object_id=project.id, after=_snapshot(project))
    return project


def change(session: Session, actor: Actor, project_id: int, wanted: ProjectUpdate, *, at: datetime) -> Project:
    """Rename, archive or reopen a project. Raises ProjectNotFound, ProjectNameTaken."""
    project = _locked(session, project_id)
    before = _snapshot(project)
    if wanted.name is not None:
        if text_key(wanted.name) != project.name_key:
            _check_name_free(session, wanted.name)
        project.name, project.name_key = wanted.name, text_key(wanted.name)
    if wanted.is_active is not None:
        project.is_active = wanted.is_active
    was, now = recorder.changes(before, _snapshot(project))
    if now:
        session.flush()
        recorder.record(
            session, "project:change", at=at, actor_id=actor.id, object_id=project.id, before=was, after=now
        )
    return project


def members(session: Session, actor: Actor, project_id: int, *, skip: int, limit: int) -> tuple[Sequence[User], int]:
    """The people who may book the project, by id, and how many; none means everyone. Raises ProjectNotFound."""
    get(session, actor, project_id)
    is_member = USER.c.id.in_(select(MEMBER.c.user_id).where(MEMBER.c.project_id == project_id))
    total = session.execute(select(func.count()).select_from(USER).where(is_member)).scalar_one()
    found = session.scalars(select(User).where(is_member).order_by(USER.c.id).offset(skip).limit(limit)).all()
    return found, total


def add_member(session: Session, actor: Actor, project_id: int, user_id: int, *, at: datetime) -> None:
    """Let a person book the project; nothing happens if they are a member. Raises UserNotFound, ProjectNotFound."""
    locks.lock(session, user_id)
    _locked(session, project_id)
    if _is_member(session, project_id, user_id):
        return
    session.execute(insert(MEMBER).values(project_id=project_id, user_id=user_id))
    _record_membership(session, "project:add_member", actor, project_id, user_id, at=at)


def remove_member(session: Session, actor: Actor, project_id: int, user_id: int, *, at: datetime) -> None:
    """Take the membership away, if there is one; without any member everyone may book. Raises as add_member."""
    locks.lock(session, user_id)
    _locked(session, project_id)
    if not _is_member(session, project_id, user_id):
        return
    session.execute(delete(MEMBER).where(MEMBER.c.project_id == project_id, MEMBER.c.user_id == user_id))
    _record_membership(session, "project:remove_member", actor, project_id, user_id, at=at)


def _page(session: Session, wanted: ColumnElement[bool], *, skip: int, limit: int) -> tuple[Sequence[Project], int]:
    total = session.execute(select(func.count()).select_from(PROJECT).where(wanted)).scalar_one()
    found = select(Project).where(wanted).order_by(PROJECT.c.id).offset(skip).limit(limit)
    return session.scalars(found).all(), total


def _locked(session: Session, project_id: int) -> Project:
    project = session.scalars(
        select(Project).where(PROJECT.c.id == project_id).with_for_update(key_share=True)
    ).one_or_none()
    if project is None:
        raise ProjectNotFound("There is no such project.")
    return project


def _is_member(session: Session, project_id: int, user_id: int) -> bool:
    found = select(MEMBER.c.user_id).where(MEMBER.c.project_id == project_id, MEMBER.c.user_id == user_id)
    return session.execute(found).first() is not None


def _record_membership(
    session: Session, action: str, actor: Actor, project_id: int, user_id: int, *, at: datetime
) -> None:
    recorder.record(session, action, at=at, actor_id=actor.id, subject_id=user_id, object_id=project_id)


def _check_name_free(session: Session, name: str) -> None:
    if session.execute(select(PROJECT.c.id).where(PROJECT.c.name_key == text_key(name))).first() is not None:
        raise ProjectNameTaken("Another project has this name.")


def _snapshot(project: Project) -> dict[str, Any]:
    return {"name": project.name, "is_active": project.is_active}

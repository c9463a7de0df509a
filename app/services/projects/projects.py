"""Projects. Admins manage them. If a project has members, only they can book it; otherwise every user can."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, insert, or_, select, true

from app.core.database.session import Session
from app.core.pagination import PageOfIds, PageRows
from app.core.text import name_key
from app.models.projects import Project
from app.models.tables import PROJECT, PROJECT_MEMBER, USER
from app.models.users import User
from app.schemas.projects import ProjectCreate, ProjectUpdate
from app.services.access.actor import Actor
from app.services.access.api_token_limits import lock_for_change
from app.services.audit import recorder
from app.services.projects.errors import ProjectCodeTaken, ProjectNameTaken, ProjectNotFound


def bookable_by(user_id: ColumnElement[int] | int) -> ColumnElement[bool]:
    """Return the condition that the user may book a project. It does not check if the project is archived."""
    has_members = exists().where(PROJECT_MEMBER.c.project_id == PROJECT.c.id)
    is_member = exists().where(PROJECT_MEMBER.c.project_id == PROJECT.c.id, PROJECT_MEMBER.c.user_id == user_id)
    return or_(~has_members, is_member)


def list_bookable(session: Session, actor: Actor, page: PageOfIds) -> PageRows[Project]:
    """Return one page of the active projects that the actor may book, by id."""
    return _list_matching(session, PROJECT.c.is_active & bookable_by(actor.id), page)


def list_page(
    session: Session, _actor: Actor, page: PageOfIds, *, is_active: bool | None, search: str | None
) -> PageRows[Project]:
    """Return one page of the matching projects by id."""
    condition: ColumnElement[bool] = true()
    if is_active is not None:
        condition &= PROJECT.c.is_active == is_active
    if search is not None:
        condition &= PROJECT.c.name_key.contains(name_key(search), autoescape=True)
    return _list_matching(session, condition, page)


def get(session: Session, _actor: Actor, project_id: int) -> Project:
    """Return the project. Raises ProjectNotFound."""
    project = session.get(Project, project_id)
    if project is None:
        raise ProjectNotFound("There is no project with this id.")
    return project


def create(session: Session, actor: Actor | None, data: ProjectCreate, *, at: datetime) -> Project:
    """Create a project without members, which every user can book. Raises ProjectNameTaken, ProjectCodeTaken."""
    _check_name_available(session, data.name)
    _check_code_available(session, data.code)
    project = Project(name=data.name, name_key=name_key(data.name), code=data.code, created_at=at)
    session.add(project)
    session.flush()
    actor_id = actor.id if actor else None
    recorder.record(session, "project:create", at=at, actor_id=actor_id, object_id=project.id, after=_snapshot(project))
    return project


def change(session: Session, actor: Actor, project_id: int, data: ProjectUpdate, *, at: datetime) -> Project:
    """Change a project's name or code, archive or unarchive it.

    Raises ProjectNotFound, ProjectNameTaken, ProjectCodeTaken.
    """
    project = _load_for_update(session, project_id)
    before = _snapshot(project)
    if data.name not in (None, project.name):
        if name_key(data.name) != project.name_key:
            _check_name_available(session, data.name)
        project.name, project.name_key = data.name, name_key(data.name)
    if data.code not in (None, project.code or ""):
        _check_code_available(session, data.code)
        project.code = data.code or None
    if data.is_active is not None:
        project.is_active = data.is_active
    old_values, new_values = recorder.changes(before, _snapshot(project))
    if new_values:
        session.flush()
        recorder.record(
            session,
            "project:change",
            at=at,
            actor_id=actor.id,
            object_id=project.id,
            before=old_values,
            after=new_values,
        )
    return project


def list_members(session: Session, actor: Actor, project_id: int, page: PageOfIds) -> PageRows[User]:
    """Return one page of the project's members by id. Raises ProjectNotFound.

    A total of 0 means that every user can book the project.
    """
    get(session, actor, project_id)
    is_member = USER.c.id.in_(select(PROJECT_MEMBER.c.user_id).where(PROJECT_MEMBER.c.project_id == project_id))
    total = session.execute(select(func.count()).select_from(USER).where(is_member)).scalar_one()
    return page.cut(session.scalars(page.select(select(User).where(is_member), USER.c.id)).all(), total)


def add_member(session: Session, actor: Actor, project_id: int, user_id: int, *, at: datetime) -> None:
    """Add a user to the project's members, unless they are a member. Raises UserNotFound, ProjectNotFound."""
    lock_for_change(session, actor, user_id)
    _load_for_update(session, project_id)
    if _is_member(session, project_id, user_id):
        return
    session.execute(insert(PROJECT_MEMBER).values(project_id=project_id, user_id=user_id))
    _record_membership(session, "project:add_member", actor, project_id, user_id, at=at)


def remove_member(session: Session, actor: Actor, project_id: int, user_id: int, *, at: datetime) -> None:
    """Remove a user from the project's members, if they are a member. Raises UserNotFound, ProjectNotFound.

    A project without members can be booked by every user.
    """
    lock_for_change(session, actor, user_id)
    _load_for_update(session, project_id)
    if not _is_member(session, project_id, user_id):
        return
    session.execute(
        delete(PROJECT_MEMBER).where(PROJECT_MEMBER.c.project_id == project_id, PROJECT_MEMBER.c.user_id == user_id)
    )
    _record_membership(session, "project:remove_member", actor, project_id, user_id, at=at)


def _list_matching(session: Session, condition: ColumnElement[bool], page: PageOfIds) -> PageRows[Project]:
    total = session.execute(select(func.count()).select_from(PROJECT).where(condition)).scalar_one()
    return page.cut(session.scalars(page.select(select(Project).where(condition), PROJECT.c.id)).all(), total)


def _load_for_update(session: Session, project_id: int) -> Project:
    project = session.scalars(
        select(Project).where(PROJECT.c.id == project_id).with_for_update(key_share=True)
    ).one_or_none()
    if project is None:
        raise ProjectNotFound("There is no project with this id.")
    return project


def _is_member(session: Session, project_id: int, user_id: int) -> bool:
    query = select(PROJECT_MEMBER.c.user_id).where(
        PROJECT_MEMBER.c.project_id == project_id, PROJECT_MEMBER.c.user_id == user_id
    )
    return session.execute(query).first() is not None


def _record_membership(
    session: Session, action: str, actor: Actor, project_id: int, user_id: int, *, at: datetime
) -> None:
    recorder.record(session, action, at=at, actor_id=actor.id, subject_id=user_id, object_id=project_id)


def _check_name_available(session: Session, name: str) -> None:
    if session.execute(select(PROJECT.c.id).where(PROJECT.c.name_key == name_key(name))).first() is not None:
        raise ProjectNameTaken("Another project has this name. Choose another name.")


def _check_code_available(session: Session, code: str | None) -> None:
    if code and session.execute(select(PROJECT.c.id).where(PROJECT.c.code == code)).first() is not None:
        raise ProjectCodeTaken("Another project has this code. Choose another code.")


def _snapshot(project: Project) -> dict[str, Any]:
    return {"name": project.name, "code": project.code, "is_active": project.is_active}

"""Lists of users, and single ones."""

from datetime import datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Row, Select, bindparam, func, or_, select

from app.core.database.dialect import instant_text
from app.core.database.execution_options import PREPARE
from app.core.database.session import Session
from app.core.email_addresses import email_search_keys
from app.core.pagination import PageOfIds, PageRows
from app.core.text import name_key
from app.models.tables import USER
from app.models.users import User
from app.schemas.users.user import AccountRead, UserFilter, UserWithActions
from app.services.access import visibility
from app.services.access.actor import Actor
from app.services.access.errors import UserNotFound
from app.services.users import rights
from app.services.users.rights import Rights

_COUNT = select(func.count()).select_from(USER).execution_options(**{PREPARE: True})
# The fields of AccountRead as JSON values. Building a model per user would take longer than the rest of the request.
_AS_JSON = {"created_at": instant_text(USER.c.created_at)}
_FIELDS = tuple(AccountRead.model_fields)
_ACCOUNTS = select(*(_AS_JSON.get(name, USER.c[name]).label(name) for name in _FIELDS))
_MANAGER = USER.alias("manager")
_SKIPPED = USER.alias("skipped")
_FIRST_ID = (
    select(_SKIPPED.c.id)
    .where(_SKIPPED.c.id > bindparam("after"))
    .order_by(_SKIPPED.c.id)
    .offset(bindparam("skip"))
    .limit(1)
    .scalar_subquery()
)
# A page of all users. The offset is applied in the index of the id, so skipped rows are not read.
_ALL_USERS = (
    _ACCOUNTS.where(USER.c.id >= _FIRST_ID)
    .order_by(USER.c.id)
    .limit(bindparam("limit"))
    .execution_options(**{PREPARE: True})
)


def list_page(
    session: Session, actor: Actor, data: UserFilter, page: PageOfIds, *, at: datetime
) -> tuple[bytes, PageRows[Row[Any]]]:
    """Return one page of the matching users by id, as a JSON array of UserWithActions and as rows."""
    if data == UserFilter():
        total = session.execute(_COUNT).scalar_one()
        params = {"after": page.after or 0, "skip": page.skip, "limit": page.limit + 1}
        rows = session.execute(_ALL_USERS, params).all()
    else:
        total = session.execute(_apply_filter(select(func.count()).select_from(USER), data)).scalar_one()
        rows = session.execute(page.select(_apply_filter(_ACCOUNTS, data), USER.c.id)).all()
    result = page.cut(rows, total)
    may = Rights(session, actor, result.rows)
    fields = (*_FIELDS, "can")
    return to_json([dict(zip(fields, (*row, may.actions(row, at=at)), strict=True)) for row in result.rows]), result


def list_team(session: Session, actor: Actor, page: PageOfIds) -> PageRows[User]:
    """Return one page of the users that the actor may see, including themselves, by id."""
    is_visible = visibility.visible_to(actor, USER.c.id)
    total = session.execute(select(func.count()).select_from(USER).where(is_visible)).scalar_one()
    return page.cut(session.scalars(page.select(select(User).where(is_visible), USER.c.id)).all(), total)


def get(session: Session, _actor: Actor, user_id: int) -> User:
    """Return the user. Raises UserNotFound."""
    user = session.get(User, user_id)
    if user is None:
        raise UserNotFound("There is no user with this id.")
    return user


def get_with_actions(session: Session, actor: Actor, user_id: int, *, at: datetime) -> UserWithActions:
    """Return the user with the actions that the actor may take now. Raises UserNotFound."""
    return rights.respond(session, actor, get(session, actor, user_id), at=at)


def _apply_filter(statement: Select[Any], data: UserFilter) -> Select[Any]:
    if data.role is not None:
        statement = statement.where(USER.c.role == data.role)
    if data.is_active is not None:
        statement = statement.where(USER.c.is_active == data.is_active)
    if data.manager_id is not None:
        statement = statement.where(USER.c.manager_id == data.manager_id)
    if data.manager_is_active is not None:
        managers = select(_MANAGER.c.id).where(_MANAGER.c.is_active == data.manager_is_active)
        statement = statement.where(USER.c.manager_id.in_(managers))
    if data.search is not None:
        has_name = USER.c.name_key.contains(name_key(data.search), autoescape=True)
        has_email = (USER.c.email_key.contains(key, autoescape=True) for key in email_search_keys(data.search))
        statement = statement.where(or_(has_name, *has_email))
    return statement

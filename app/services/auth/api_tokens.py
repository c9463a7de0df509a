"""API tokens for scripts and terminals. Each has a name, an expiry and scopes, and never exceeds its owner's rights."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select

from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.pagination import PageOfIds, PageRows
from app.core.security.access_tokens import Claims, TokenScope
from app.core.security.opaque_tokens import digest
from app.core.security.passwords import PasswordHasher
from app.models.tables import API_TOKEN
from app.models.users import Role
from app.schemas.auth.api_token import ApiTokenCreate, ApiTokenCreated, ApiTokenRead
from app.services.access.actor import Actor
from app.services.access.api_token_limits import lock_for_change
from app.services.access.authentication import require_role
from app.services.audit import recorder
from app.services.auth.errors import ApiTokenNotFound, ExpiryOutOfRange, TooManyApiTokens
from app.services.auth.login_sessions import Client
from app.services.auth.reauthentication import PasswordCheck, check_password, reauthenticate_unless_recent

MAX_PER_USER = 50
_TOKENS = select(*(column for column in API_TOKEN.c if column.name != "token_hash"))
_TOKEN_QUERY = _TOKENS.order_by(API_TOKEN.c.id)


async def create_api_token(
    tx: CallerTransactionRunner[Claims], hasher: PasswordHasher, data: ApiTokenCreate, client: Client, *, at: datetime
) -> ApiTokenCreated:
    """Create an API token for the caller. Raises LoginQueueFull, and the errors of `create`."""
    check = await check_password(tx, hasher, data.current_password, client)
    return await tx.write(create, check, data, at=at)


def create(
    session: Session, claims: Claims, check: PasswordCheck, data: ApiTokenCreate, *, at: datetime
) -> ApiTokenCreated:
    """Create an API token for the caller. Raises the errors of `reauthenticate_unless_recent` and `issue`."""
    actor, _user = reauthenticate_unless_recent(session, claims, check, at=at)
    return issue(session, actor, data, at=at)


def issue(session: Session, actor: Actor, data: ApiTokenCreate, *, at: datetime) -> ApiTokenCreated:
    """Create an API token for the actor, whose row is locked. Its text is returned only here, since it is not stored.

    Raises RoleRequired for the scope `admin` if the actor is not an admin, ExpiryOutOfRange, TooManyApiTokens.
    """
    if TokenScope.admin in data.scopes:
        require_role(actor, Role.admin)
    latest = at + timedelta(days=session.settings.API_TOKEN_MAX_DAYS)
    if not at < data.expires_at <= latest:
        raise ExpiryOutOfRange(f"expires_at must be in the future, and not after {latest:%Y-%m-%dT%H:%M:%SZ}.")
    token_count = select(func.count()).select_from(API_TOKEN).where(API_TOKEN.c.user_id == actor.id)
    if session.execute(token_count).scalar_one() >= MAX_PER_USER:
        raise TooManyApiTokens(f"You have {MAX_PER_USER} API tokens, which is the limit. Revoke one first.")
    token = session.keyring.api_tokens.new(actor.id)
    fields = {"name": data.name, "scopes": " ".join(sorted(data.scopes)), "expires_at": data.expires_at}
    secrets = {"token_hash": digest(token)}
    row = {"user_id": actor.id, "created_at": at, **fields, **secrets}
    created = session.execute(insert(API_TOKEN).values(row).returning(*_TOKEN_QUERY.selected_columns)).one()
    recorder.record(
        session,
        "api_token:create",
        at=at,
        actor_id=actor.id,
        subject_id=actor.id,
        object_id=created.id,
        after=fields,
        secrets=secrets,
    )
    return ApiTokenCreated.model_validate({**created._mapping, "token": token})


def list_own(session: Session, actor: Actor) -> list[ApiTokenRead]:
    """Return the actor's tokens by id, including expired ones."""
    return _as_responses(session.execute(_TOKEN_QUERY.where(API_TOKEN.c.user_id == actor.id)).all())


def get_own(session: Session, actor: Actor, token_id: int) -> ApiTokenRead:
    """Return a token of the actor. Raises ApiTokenNotFound."""
    _find_owner_id(session, token_id, actor.id)
    return _as_responses(session.execute(_TOKEN_QUERY.where(API_TOKEN.c.id == token_id)).all())[0]


def list_page(session: Session, _actor: Actor, user_id: int | None, page: PageOfIds) -> PageRows[ApiTokenRead]:
    """Return one page of tokens by id. `user_id` limits the list to one user."""

    def filter_by_user(statement: Select[Any]) -> Select[Any]:
        return statement if user_id is None else statement.where(API_TOKEN.c.user_id == user_id)

    total = session.execute(filter_by_user(select(func.count()).select_from(API_TOKEN))).scalar_one()
    tokens = _as_responses(session.execute(page.select(filter_by_user(_TOKENS), API_TOKEN.c.id)).all())
    return page.cut(tokens, total)


def revoke_own(session: Session, actor: Actor, token_id: int, *, at: datetime) -> None:
    """Revoke a token of the actor. It stops working at once. Raises ApiTokenNotFound."""
    _find_owner_id(session, token_id, actor.id)
    _delete(session, actor.id, actor.id, token_id, at=at)


def revoke(session: Session, actor: Actor, token_id: int, *, at: datetime) -> None:
    """Revoke the token of any user, as an admin. Raises ApiTokenNotFound, and the errors of `lock_for_change`."""
    owner_id = _find_owner_id(session, token_id, None)
    lock_for_change(session, actor, owner_id)
    _delete(session, actor.id, owner_id, token_id, at=at)


def revoke_all(session: Session, actor_id: int | None, user_id: int, *, at: datetime) -> None:
    """Revoke all tokens of a locked user. Each revocation is recorded."""
    for token_id in session.scalars(select(API_TOKEN.c.id).where(API_TOKEN.c.user_id == user_id)).all():
        _delete(session, actor_id, user_id, token_id, at=at)


def _as_responses(rows: Sequence[Row[Any]]) -> list[ApiTokenRead]:
    return [ApiTokenRead.model_validate(row) for row in rows]


def _find_owner_id(session: Session, token_id: int, user_id: int | None) -> int:
    """Return the token's owner. `user_id` limits the search to tokens of that user. Raises ApiTokenNotFound."""
    query = select(API_TOKEN.c.user_id).where(API_TOKEN.c.id == token_id)
    if user_id is not None:
        query = query.where(API_TOKEN.c.user_id == user_id)
    owner_id: int | None = session.execute(query).scalar_one_or_none()
    if owner_id is None:
        raise ApiTokenNotFound("There is no API token with this id that you may see.")
    return owner_id


def _delete(session: Session, actor_id: int | None, owner_id: int, token_id: int, *, at: datetime) -> None:
    statement = delete(API_TOKEN).where(API_TOKEN.c.id == token_id).returning(API_TOKEN.c.name, API_TOKEN.c.scopes)
    row = session.execute(statement).one_or_none()
    if row is None:
        raise ApiTokenNotFound("There is no API token with this id that you may see.")
    recorder.record(
        session,
        "api_token:revoke",
        at=at,
        actor_id=actor_id,
        subject_id=owner_id,
        object_id=token_id,
        before=dict(row._mapping),
    )

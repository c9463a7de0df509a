"""Idempotency keys: a retried request returns the stored response and changes nothing.

The response is stored under the caller's key in the transaction of the change. The caller's row is locked before the
key is looked up, so a concurrent duplicate waits and then finds the stored response. What a user can store is bounded:
a response has at most 64 KiB, and a user has about 1,000 responses and 4 MiB (the budget). Older ones are deleted.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.exc import DBAPIError

from app.core.database.dialect import byte_length, delete_batch, upsert
from app.core.database.session import Session, is_lock_timeout
from app.core.errors import Conflict, Invalid
from app.models.tables import IDEMPOTENCY_KEY

KEY_RETENTION = timedelta(hours=24)
PURGE_BATCH_SIZE = 20
MAX_RESPONSE_BYTES = 64 * 1024
MAX_KEYS_PER_USER = 1_000
MAX_BYTES_PER_USER = 4 * 1024 * 1024
EVICTION_INTERVAL = 64
"""A punch enforces the budget only if the user has a multiple of this number of keys, to save statements. So a user
has at most 64 keys and 4 MiB more than the budget."""
REPLACED_COLUMNS = ("fingerprint", "answer", "created_at")
_STORED_QUERY = select(IDEMPOTENCY_KEY.c.fingerprint, IDEMPOTENCY_KEY.c.answer, IDEMPOTENCY_KEY.c.created_at).where(
    IDEMPOTENCY_KEY.c.user_id == bindparam("user_id"), IDEMPOTENCY_KEY.c.key == bindparam("key")
)
_EXPIRED_QUERY = (
    select(IDEMPOTENCY_KEY.c.user_id, IDEMPOTENCY_KEY.c.key)
    .where(IDEMPOTENCY_KEY.c.created_at <= bindparam("until"))
    .order_by(IDEMPOTENCY_KEY.c.created_at)
)
# All users' keys, because those of a user who never writes again would stay forever.
_PURGE = delete_batch(_EXPIRED_QUERY, PURGE_BATCH_SIZE)
_NEWEST_FIRST = (IDEMPOTENCY_KEY.c.created_at.desc(), IDEMPOTENCY_KEY.c.key)
_OWN_KEYS = (
    select(
        IDEMPOTENCY_KEY.c.key,
        func.row_number().over(order_by=_NEWEST_FIRST).label("number"),
        func.sum(byte_length(IDEMPOTENCY_KEY.c.answer)).over(order_by=_NEWEST_FIRST).label("total_bytes"),
    )
    .where(IDEMPOTENCY_KEY.c.user_id == bindparam("user_id"))
    .subquery()
)
_SURPLUS = (
    select(_OWN_KEYS.c.key)
    .where((_OWN_KEYS.c.number > MAX_KEYS_PER_USER) | (_OWN_KEYS.c.total_bytes > MAX_BYTES_PER_USER))
    .cte("surplus")
    .prefix_with("MATERIALIZED", dialect="postgresql")  # otherwise it may be computed again for each key of the user
)
_EVICT = delete(IDEMPOTENCY_KEY).where(
    IDEMPOTENCY_KEY.c.user_id == bindparam("user_id"), IDEMPOTENCY_KEY.c.key.in_(select(_SURPLUS.c.key))
)
_INSERT = upsert(IDEMPOTENCY_KEY)
_UPSERT = _INSERT.on_conflict_do_update(
    index_elements=["user_id", "key"], set_={name: _INSERT.excluded[name] for name in REPLACED_COLUMNS}
)
_Response = TypeVar("_Response", bound=BaseModel)
_REPLAYED = "idempotency_replayed"  # a key of session.info


class RequestInFlight(Conflict):
    code = "request_in_flight"
    title = "Request in progress"


class IdempotencyKeyReused(Invalid):
    code = "idempotency_key_reused"
    title = "Idempotency-Key reused"


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """An Idempotency-Key and the fingerprint (SHA-256) of the request that was sent with it."""

    key: str
    fingerprint: str


def for_key(key: str | None, operation: str, *content: str) -> IdempotentRequest | None:
    """Return the idempotent request for the key, or None without a key: each request is then executed."""
    if key is None:
        return None
    return IdempotentRequest(key, hashlib.sha256("\n".join((operation, *content)).encode()).hexdigest())


def find_response(
    session: Session, user_id: int, request: IdempotentRequest | None, response_type: type[_Response], *, at: datetime
) -> _Response | None:
    """Return the stored response to this request, if any. The caller's row must be locked.

    Raises IdempotencyKeyReused.
    """
    if request is None:
        return None
    stored = session.execute(_STORED_QUERY, {"user_id": user_id, "key": request.key}).one_or_none()
    return None if stored is None else replay(session, request, response_type, *stored, at=at)


def is_replayed(session: Session) -> bool:
    """Return True if this transaction has found the stored response to its request."""
    return _REPLAYED in session.info


def replay(
    session: Session,
    request: IdempotentRequest,
    response_type: type[_Response],
    fingerprint: str | None,
    stored: str | None,
    created_at: datetime | None,
    *,
    at: datetime,
) -> _Response | None:
    """Return the stored response if it is less than 24 hours old, else None.

    Raises IdempotencyKeyReused if it was stored for a different request.
    """
    if fingerprint is None or stored is None or created_at is None or created_at <= at - KEY_RETENTION:
        return None
    if fingerprint != request.fingerprint:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for a different request. Use a new key for each new request."
        )
    session.info[_REPLAYED] = True
    return response_type.model_validate_json(stored)


def is_purge_due(oldest_key_at: datetime | None, key_count: int, *, at: datetime) -> bool:
    """Return True if there may be keys to delete: the oldest of all users has expired, or it is time for eviction.

    `key_count` is the number of the user's keys.
    """
    has_expired = oldest_key_at is not None and oldest_key_at <= at - KEY_RETENTION
    return has_expired or (key_count > 0 and key_count % EVICTION_INTERVAL == 0)


def store_response(
    session: Session,
    user_id: int,
    request: IdempotentRequest | None,
    response: BaseModel,
    *,
    purge: bool = True,
    at: datetime,
) -> None:
    """Store the response under the request's key, and replace an expired response.

    With `purge`, also delete the user's oldest responses beyond the budget, and up to 20 expired ones of any user.
    """
    if request is None:
        return
    answer = response.model_dump_json()
    assert len(answer.encode()) <= MAX_RESPONSE_BYTES, "Store a reference instead, as bulk requests do."
    row: dict[str, Any] = {"user_id": user_id, "key": request.key, "fingerprint": request.fingerprint}
    session.execute_later(_UPSERT, row | {"answer": answer, "created_at": at})
    if purge:
        session.execute_later(_EVICT, {"user_id": user_id})
        # This is the last statement, because it locks keys of other users. Waiting for a lock after that could
        # deadlock.
        session.execute_later(_PURGE, {"until": at - KEY_RETENTION})


@contextmanager
def conflict_on_lock_timeout(request: IdempotentRequest | None) -> Iterator[None]:
    """Convert a lock timeout to RequestInFlight if the request has a key.

    Wrap the statement that locks the caller's row.
    """
    try:
        yield
    except DBAPIError as error:
        if request is not None and is_lock_timeout(error):
            raise RequestInFlight("The same request may still be in progress. Retry after a second.") from None
        raise

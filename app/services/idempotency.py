"""Requests that are sent again: answered again, and not done again.

The answer is kept under the sender's key in the transaction of the change. The sender is locked before the key is
looked up, so a twin that comes at the same time waits, and then finds the answer.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import bindparam, delete, select, tuple_
from sqlalchemy.exc import DBAPIError

from app.core.database.dialect import upsert
from app.core.database.session import Session, is_vain_wait
from app.core.errors import Conflict, Invalid
from app.models.tables import KEY

KEPT_FOR = timedelta(hours=24)
PURGED_AT_ONCE = 20
RENEWED = ("fingerprint", "answer", "created_at")
_KEPT = select(KEY.c.fingerprint, KEY.c.answer, KEY.c.created_at).where(
    KEY.c.user_id == bindparam("user_id"), KEY.c.key == bindparam("key")
)
# A few of the oldest, whoever sent them: who never writes again leaves nothing behind for good. Those that another
# transaction is deleting are left to it.
_OLD = select(KEY.c.user_id, KEY.c.key).where(KEY.c.created_at <= bindparam("until")).order_by(KEY.c.created_at)
_PURGE = delete(KEY).where(
    tuple_(KEY.c.user_id, KEY.c.key).in_(_OLD.limit(PURGED_AT_ONCE).with_for_update(skip_locked=True))
)
_NEW = upsert(KEY)
_KEEP = _NEW.on_conflict_do_update(
    index_elements=["user_id", "key"], set_={name: _NEW.excluded[name] for name in RENEWED}
)
_Answer = TypeVar("_Answer", bound=BaseModel)


class RequestInFlight(Conflict):
    code = "request_in_flight"
    title = "Request in progress"


class KeyReused(Invalid):
    code = "idempotency_key_reused"
    title = "Idempotency-Key reused"


@dataclass(frozen=True, slots=True)
class Once:
    """A request to be done once: the sender's key, and what tells this request from another."""

    key: str
    fingerprint: str


def once(key: str | None, operation: str, *sent: str) -> Once | None:
    """The request under its key; None for one without a key, which is done each time it comes."""
    if key is None:
        return None
    return Once(key, hashlib.sha256("\n".join((operation, *sent)).encode()).hexdigest())


def answered(
    session: Session, user_id: int, request: Once | None, answer: type[_Answer], *, at: datetime
) -> _Answer | None:
    """The answer to this request, if it was done before; its sender is locked. Raises KeyReused."""
    if request is None:
        return None
    kept = session.execute(_KEPT, {"user_id": user_id, "key": request.key}).one_or_none()
    return None if kept is None else replay(request, answer, *kept, at=at)


def replay(
    request: Once,
    answer: type[_Answer],
    fingerprint: str | None,
    kept: str | None,
    created_at: datetime | None,
    *,
    at: datetime,
) -> _Answer | None:
    """The kept answer, unless there is none or its 24 hours are over. Raises KeyReused for another request's."""
    if fingerprint is None or kept is None or created_at is None or created_at <= at - KEPT_FOR:
        return None
    if fingerprint != request.fingerprint:
        raise KeyReused("This Idempotency-Key was sent with another request. Take a new key for a new request.")
    return answer.model_validate_json(kept)


def keep(
    session: Session, user_id: int, request: Once | None, answer: BaseModel, *, purges: bool = True, at: datetime
) -> None:
    """Keep the answer for the same request, in the place of one whose time is over, and let go of a few that are."""
    if request is None:
        return
    row: dict[str, Any] = {"user_id": user_id, "key": request.key, "fingerprint": request.fingerprint}
    session.write_soon(_KEEP, row | {"answer": answer.model_dump_json(), "created_at": at})
    if purges:  # last, so that nobody waits for us while we wait for them
        session.write_soon(_PURGE, {"until": at - KEPT_FOR})


@contextmanager
def waiting(request: Once | None) -> Iterator[None]:
    """Around the wait for the sender's lock. Raises RequestInFlight where a request with a key waits in vain."""
    try:
        yield
    except DBAPIError as error:
        if request is not None and is_vain_wait(error):
            raise RequestInFlight("The same request may still be under way. Send it again in a second.") from None
        raise

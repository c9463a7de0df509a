"""The audit log: one event per change, written in the transaction of the change. Each user has a chain of events.

Database triggers reject any update or delete of an event, and any insert that does not continue its chain.
`verification` checks the chains.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

from sqlalchemy import Row, bindparam, insert, select

from app.core.database.session import DatabaseUnavailable, Session
from app.core.security.hash_chain import DIGEST_PREFIX, GENESIS, canonical_json, new_salt, salted_digest
from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT
from app.services.access import locks

ORGANISATION_CHAIN = 0
"""The chain of events that concern no user, such as changes of a project."""
ERASE_ACTION = "user:erase"
ERASED_DOMAIN = "@erased.invalid"
"""Ending of the addresses of erased users. Nobody else has it: .invalid never resolves (RFC 2606) and is rejected."""
PERSONAL_FIELDS = frozenset({"email", "first_name", "last_name"})
"""Fields whose values can be erased. An event's reason can be erased too; triggers protect everything else."""
SECRET_FIELDS = frozenset({"password_hash", "token_hash", "secret", "code_hash"})
"""Columns with hashes and ciphertexts. Events hold their MACs."""
_MAC_FIELDS = tuple(column.name for column in AUDIT_EVENT.c if column.name not in {"personal", "link"})
_TEXTS = ("before", "after", "reason", "personal")
_FIXED_BYTES = 500
"""Approximate size of an event's other columns, with its part of three indexes."""
_INSERT = insert(AUDIT_EVENT)
_HEAD_QUERY = select(AUDIT_CHAIN.c.length, AUDIT_CHAIN.c.last_link).where(
    AUDIT_CHAIN.c.chain_id == bindparam("chain_id")
)
_ORGANISATION_HEAD_QUERY = _HEAD_QUERY.with_for_update()
Fields = dict[str, Any]
Secrets = Mapping[str, str | Sequence[str]]
"""Stored hashes and ciphertexts, by column. A list has those of several rows."""


def record(
    session: Session,
    action: str,
    *,
    at: datetime,
    actor_id: int | None,
    subject_id: int | None = None,
    object_id: int | None = None,
    before: Fields | None = None,
    after: Fields | None = None,
    secrets: Secrets | None = None,
    reason: str | None = None,
) -> None:
    """Write one event. `action` is `<object>:<verb>`, and `subject_id` is the user whom the event concerns.

    `before` and `after` must not hold secrets. `secrets` are stored hashes and ciphertexts by column. `after` holds
    their MACs, so that a later comparison finds an exchanged one. The subject's row is locked here if the caller has
    not locked it. The lock keeps the chain head unchanged until the commit.
    """
    chain_id = subject_id or ORGANISATION_CHAIN
    event = _next_event(
        session,
        chain_id,
        _head(session, chain_id),
        at=at,
        action=action,
        actor_id=actor_id,
        object_id=object_id,
        before=before,
        after=_with_macs(session, after, secrets),
        reason=reason,
    )
    if actor_id is not None:
        recorded_bytes(session)[actor_id] += sum(len((event[name] or "").encode()) for name in _TEXTS) + _FIXED_BYTES
    session.execute_later(_INSERT, event)


def record_created_users(
    session: Session,
    action: str,
    created_users: Iterable[tuple[int, Fields]],
    *,
    secrets: Secrets,
    at: datetime,
    actor_id: int | None,
) -> None:
    """Write the first event of each user inserted in this transaction, in one statement.

    `created_users` holds pairs of user id and `after`. All have the same `secrets`. No other transaction sees these
    users yet, so their chains are empty, and no lock or read is needed.
    """
    macs = _with_macs(session, None, secrets) or {}
    events = [
        _next_event(
            session,
            user_id,
            (0, GENESIS),
            at=at,
            action=action,
            actor_id=actor_id,
            object_id=user_id,
            after=after | macs,
        )
        for user_id, after in created_users
    ]
    session.execute(_INSERT, events)


def cache_head(session: Session, chain_id: int, length: int | None, last_link: str | None) -> None:
    """Cache the chain head of a locked user that an earlier statement has read, so it is not read again."""
    _heads(session)[chain_id] = (length or 0, last_link or GENESIS)


def recorded_actions(session: Session) -> list[str]:
    """Return the actions recorded in this transaction so far, in order."""
    actions: list[str] = session.info.setdefault("recorded_actions", [])
    return actions


def recorded_bytes(session: Session) -> Counter[int]:
    """Return the approximate size of the events recorded in this transaction so far, by actor. Imports do not count."""
    sizes: Counter[int] = session.info.setdefault("recorded_bytes", Counter())
    return sizes


def changes(before: Fields, after: Fields) -> tuple[Fields, Fields]:
    """Return the fields that differ between two snapshots: their old values and their new values."""
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}


def pseudonym(user_id: int) -> Fields:
    """Return the names and e-mail of an erased user. The audit log implies them, so they never change."""
    email = f"erased-{user_id}{ERASED_DOMAIN}"
    return {"first_name": "Erased", "last_name": f"Person {user_id}", "email": email}


def mac_payload(event: Fields, previous: str) -> Fields:
    """Return what the link of an event authenticates: its fields without personal values, and the previous link."""
    return {name: event[name] for name in _MAC_FIELDS} | {"at": event["at"].isoformat(), "previous": previous}


def with_personal_values(event: Row[Any]) -> Fields:
    """Return before, after and reason with the personal values in place of the digests. Erased values are None.

    The MACs of secrets are left out, because only `verify-audit` can use them.
    """
    values = json.loads(event.personal)["values"] if event.personal else {}

    def restore(name: str) -> Fields | None:
        text = getattr(event, name)
        if text is None:
            return None
        fields = json.loads(text)
        readable = {
            field: values.get(f"{name}.{field}") if is_digest(field, value) else value
            for field, value in fields.items()
            if field not in SECRET_FIELDS
        }
        return readable if readable or not fields else None

    return {"before": restore("before"), "after": restore("after"), "reason": values.get("reason")}


def is_digest(field: str, value: Any) -> bool:
    """Return True if the value is the digest of a personal value."""
    return field in PERSONAL_FIELDS and isinstance(value, str) and value.startswith(DIGEST_PREFIX)


def _next_event(
    session: Session,
    chain_id: int,
    head: tuple[int, str],
    *,
    at: datetime,
    action: str,
    actor_id: int | None,
    object_id: int | None,
    before: Fields | None = None,
    after: Fields | None = None,
    reason: str | None = None,
) -> Fields:
    """Build the row that continues the chain, and make it the chain head."""
    length, last_link = head
    keys = session.keyring.audit_keys
    redactor = _Redactor()
    event: Fields = {
        "chain_id": chain_id,
        "position": length + 1,
        "at": at,
        "action": action,
        "actor_id": actor_id,
        "object_type": action.partition(":")[0],
        "object_id": object_id,
        "before": redactor.redact("before", before),
        "after": redactor.redact("after", after),
        "reason": redactor.redact_value("reason", reason),
        "request_id": session.request_id,
        "key_id": keys.current_id,
    }
    event["link"] = keys.mac(event["key_id"], mac_payload(event, last_link))
    event["personal"] = redactor.values
    _heads(session)[chain_id] = (length + 1, event["link"])
    recorded_actions(session).append(action)
    return event


def _with_macs(session: Session, fields: Fields | None, secrets: Secrets | None) -> Fields | None:
    if not secrets:
        return fields
    keys = session.keyring.audit_keys
    return (fields or {}) | {
        name: keys.mac_of_secret(name, value)
        if isinstance(value, str)
        else [keys.mac_of_secret(name, each) for each in value]
        for name, value in secrets.items()
    }


def _heads(session: Session) -> dict[int, tuple[int, str]]:
    """Length and last link of each chain that this transaction has locked and read."""
    heads: dict[int, tuple[int, str]] = session.info.setdefault("chain_heads", {})
    return heads


def _head(session: Session, chain_id: int) -> tuple[int, str]:
    heads = _heads(session)
    if chain_id not in heads:
        head = _ORGANISATION_HEAD_QUERY if chain_id == ORGANISATION_CHAIN else _HEAD_QUERY
        locking = locks.user_lock_options(chain_id)  # without the lock, two writers would fork the chain
        row = session.execute(head, {"chain_id": chain_id}, execution_options=locking).one_or_none()
        if row is None and chain_id == ORGANISATION_CHAIN:  # then nothing was locked
            raise DatabaseUnavailable("The head of audit chain 0 is missing. Ask the operator to restore a backup.")
        cache_head(session, chain_id, *(row or (None, None)))
    return heads[chain_id]


class _Redactor:
    """Replacement of the personal values of one event by digests. The values are kept apart with one salt."""

    def __init__(self) -> None:
        self._salt = ""
        self._values: dict[str, str] = {}

    @property
    def values(self) -> str | None:
        return canonical_json({"salt": self._salt, "values": self._values}) if self._values else None

    def redact(self, side: str, fields: Fields | None) -> str | None:
        if fields is None:
            return None
        json_fields = {name: to_json_value(value) for name, value in fields.items()}
        for name in PERSONAL_FIELDS & json_fields.keys():
            json_fields[name] = self.redact_value(f"{side}.{name}", json_fields[name])
        return canonical_json(json_fields)

    def redact_value(self, path: str, value: str | None) -> str | None:
        if not value:
            return value
        self._salt = self._salt or new_salt()
        self._values[path] = value
        return salted_digest(self._salt, path, value)


def to_json_value(value: Any) -> Any:
    """Convert a value for JSON. Instants are in UTC and end with Z; enums become their value."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()[:19] + "Z"
        case Enum():
            return value.value
        case date():
            return value.isoformat()
        case _:
            return value

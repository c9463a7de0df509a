"""Verification of the audit log: recompute every chain link by link, and compare the chains with external checkpoints.

A changed event does not match its link. A removed event leaves a gap. A truncated chain is shorter than its head says.
Truncating a chain and fixing its head, or tampering with the key in hand, is detected only with a checkpoint. A
`Reconciliation` compares the rows with the verified events.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from itertools import groupby
from typing import Any

from sqlalchemy import Row, select

from app.core.database.session import Session
from app.core.security.hash_chain import (
    DIGEST_PREFIX,
    GENESIS,
    SALT_LENGTH,
    HashChainKeys,
    UnknownKey,
    canonical_json,
    salted_digest,
)
from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT
from app.services.audit.reconciliation import Reconciliation
from app.services.audit.recorder import ERASE_ACTION, ORGANISATION_CHAIN, Fields, is_digest, mac_payload
from app.services.audit.stored_rows import AuditChainBroken, read_rows

CHECKPOINT_LINK_LENGTH = 32  # hexadecimal digits, 128 bits: keeps the line short


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Length and last link of one chain at the time of a checkpoint."""

    length: int
    link: str
    at: str


@dataclass(slots=True)
class VerificationResult:
    """Numbers of verified chains, events, events with erased personal values, and checkpoints."""

    chains: int = 0
    events: int = 0
    erased: int = 0
    checkpoints: int = 0


def verify(
    session: Session,
    lines: Iterable[str],
    *,
    on_progress: Callable[[int, int], None],
    reconciliation: Reconciliation | None = None,
) -> VerificationResult:
    """Verify every chain, also against the checkpoints in `lines`. Raises AuditChainBroken at the first fault.

    With a `reconciliation`, also compare the rows with the verified events. It counts the faults of the rows.
    `on_progress` is called after each chain with the number of verified events and the number of all events.
    """
    result = VerificationResult()
    checkpoints = _read_checkpoints(session, lines, result)
    heads = {head.chain_id: head for head in read_rows(session, AUDIT_CHAIN)}
    total = sum(head.length for head in heads.values() if isinstance(head.length, int))
    if ORGANISATION_CHAIN not in heads:
        raise AuditChainBroken(f"Chain {ORGANISATION_CHAIN} has no head.")
    with closing(read_rows(session, AUDIT_EVENT)) as all_events:  # a fault would leave its cursor open
        for chain_id, head, events in _chains(all_events, heads):
            verifier = _ChainVerifier(session.keyring.audit_keys, chain_id, checkpoints.pop(chain_id, []))
            for event in events if reconciliation is None else reconciliation.follow(chain_id, events):
                verifier.verify_event(event)
            verifier.verify_head(head)
            result.chains += 1
            result.events += verifier.position
            result.erased += verifier.erased
            on_progress(result.events, total)
    for chain_id in sorted(checkpoints):
        at = checkpoints[chain_id][0].at
        raise AuditChainBroken(f"Chain {chain_id} is missing, but the checkpoint of {at} contains it.")
    if reconciliation is not None:
        reconciliation.finish()
    return result


def verify_user(session: Session, user_id: int, reconciliation: Reconciliation) -> None:
    """Verify the chain of one user, and compare the rows of this user with it. Raises AuditChainBroken.

    `reconciliation` must be made for this user.
    """
    head = session.execute(select(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == user_id)).one_or_none()
    verifier = _ChainVerifier(session.keyring.audit_keys, user_id, [])
    with closing(read_rows(session, AUDIT_EVENT, where=AUDIT_EVENT.c.chain_id == user_id)) as events:
        for event in reconciliation.follow(user_id, events):
            verifier.verify_event(event)
    if head is not None or verifier.position:
        verifier.verify_head(head)


def create_checkpoint(session: Session, *, at: datetime) -> str:
    """Return one signed line with the length and the last link of every chain. Store it outside the database."""
    heads = session.execute(
        select(AUDIT_CHAIN.c.chain_id, AUDIT_CHAIN.c.length, AUDIT_CHAIN.c.last_link).order_by(AUDIT_CHAIN.c.chain_id)
    )
    keys = session.keyring.audit_keys
    body = {
        "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chains": {str(head.chain_id): [head.length, head.last_link[:CHECKPOINT_LINK_LENGTH]] for head in heads},
        "key_id": keys.current_id,
    }
    return canonical_json(body | {"signature": keys.mac(keys.current_id, {"seal": body})})


def _read_checkpoints(
    session: Session, lines: Iterable[str], result: VerificationResult
) -> dict[int, list[Checkpoint]]:
    checkpoints: dict[int, list[Checkpoint]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            body = json.loads(line)
            signature = body.pop("signature")
            if not compare_digest(session.keyring.audit_keys.mac(body["key_id"], {"seal": body}), signature):
                raise AuditChainBroken(f"Line {number} of the checkpoints was changed. Its signature is not valid.")
            for chain_id, (length, link) in body["chains"].items():
                if length:
                    checkpoints[int(chain_id)].append(Checkpoint(length, link, body["at"]))
        except UnknownKey as error:
            raise AuditChainBroken(f"Line {number} of the checkpoints cannot be verified. {error}.") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise AuditChainBroken(f"Line {number} of the checkpoints is not a checkpoint.") from None
        result.checkpoints += 1
    return checkpoints


def _chains(
    all_events: Iterable[Row[Any]], heads: dict[int, Row[Any]]
) -> Iterator[tuple[int, Row[Any] | None, Iterable[Row[Any]]]]:
    """Yield each chain that has events, by id, with its head. Then yield the heads without events.

    The chain of the organisation is the first also without events, because it has rows that the migrations insert.
    """
    if not heads[ORGANISATION_CHAIN].length:
        yield ORGANISATION_CHAIN, heads.pop(ORGANISATION_CHAIN), ()
    for chain_id, events in groupby(all_events, key=lambda event: event.chain_id):
        yield chain_id, heads.pop(chain_id, None), events
    for chain_id, head in heads.items():
        yield chain_id, head, ()


@dataclass(slots=True)
class _ChainVerifier:
    """Verifier for the events of one chain, in order. `position` and `link` are those of the last verified event."""

    keys: HashChainKeys
    chain_id: int
    checkpoints: list[Checkpoint]
    position: int = 0
    link: str = GENESIS
    erased: int = 0
    last_without_personal: int = 0
    last_erasure: int = 0
    _checkpoints_by_length: dict[int, list[Checkpoint]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for each in self.checkpoints:
            self._checkpoints_by_length[each.length].append(each)

    def verify_event(self, event: Row[Any]) -> None:
        self.position += 1
        if event.position != self.position:
            raise self._make_error("is missing")
        try:
            link = self.keys.mac(event.key_id, mac_payload(dict(event._mapping), self.link))
            is_valid = compare_digest(link, event.link)
        except UnknownKey as error:
            raise self._make_error(f"cannot be verified. {error}") from None
        except (TypeError, ValueError):
            is_valid = False
        if not is_valid:
            raise self._make_error("was changed. It does not match its content")
        for each in self._checkpoints_by_length.get(self.position, ()):
            if not event.link.startswith(each.link):
                raise self._make_error(f"does not match the checkpoint of {each.at}")
        self._check_personal(event)
        if event.action == ERASE_ACTION:
            self.last_erasure = self.position
        self.link = event.link

    def verify_head(self, head: Row[Any] | None) -> None:
        for each in self.checkpoints:
            if each.length > self.position:
                self.position += 1
                raise self._make_error(f"is missing. The checkpoint of {each.at} has {each.length} links")
        if self.last_without_personal and self.last_without_personal >= self.last_erasure:
            self.position = self.last_without_personal
            raise self._make_error("has no personal values, but no later event erases them")
        if head is None or not isinstance(head.length, int) or head.length < self.position:
            raise self._make_error("is not counted in the chain head")
        if head.length > self.position:
            self.position += 1
            raise self._make_error(f"is missing. The chain head counts {head.length} links")
        if head.last_link != self.link:
            raise self._make_error("does not match the last link in the chain head")
        if self.position == 0 and self.chain_id != ORGANISATION_CHAIN:
            raise AuditChainBroken(f"Chain {self.chain_id} has a head but no links.")

    def _check_personal(self, event: Row[Any]) -> None:
        digests = _digests(event)
        if event.personal is None:
            if digests:
                self.last_without_personal = self.position
                self.erased += 1
            return
        try:
            personal = json.loads(event.personal)
            salt, values = personal["salt"], personal["values"]
            is_valid = (
                bool(digests)
                and len(salt) == SALT_LENGTH  # otherwise part of a value could be moved into the salt
                and canonical_json({"salt": salt, "values": values}) == event.personal
                and digests == {path: salted_digest(salt, path, value) for path, value in values.items()}
            )
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            is_valid = False
        if not is_valid:
            raise self._make_error("has changed personal values")

    def _make_error(self, what: str) -> AuditChainBroken:
        return AuditChainBroken(f"Chain {self.chain_id}, link {self.position} {what}.")


def _digests(event: Row[Any]) -> Fields:
    """Return the digests of personal values in an event, by path, for example `after.email`."""
    texts = ((name, getattr(event, name)) for name in ("before", "after"))
    sides = {name: json.loads(text) for name, text in texts if text is not None and DIGEST_PREFIX in text}
    digests = {
        f"{side}.{name}": value
        for side, fields in sides.items()
        for name, value in fields.items()
        if is_digest(name, value)
    }
    return digests | ({"reason": event.reason} if event.reason else {})

"""Proof of the record: every chain is walked link by link, and seals kept elsewhere say how far each had come.

A changed event doesn't fit its link, a removed one leaves a gap, and one cut off at the end leaves the head longer than
the chain. Only who cuts off the end and mends the head, or has the key, needs a seal to be found out.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Table, select, true, tuple_
from sqlalchemy.exc import OperationalError

from app.core.database.execution_options import ROWS_AT_ONCE
from app.core.database.session import Session
from app.core.security.hash_chain import GENESIS, SALT_LENGTH, ChainKeys, UnknownKey, canonical, digest
from app.models.tables import CHAIN, EVENT
from app.services.audit.recorder import ERASE, HOUSE, Facts, is_digest, linked_facts

SEALED_LINK_LENGTH = 32  # hexadecimal digits of a link in a seal: 128 bits, and a short line


class BrokenRecord(Exception):
    """The record, or a seal, isn't what was written. The message names the first place where it shows."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """How long a chain was, and its last link, when a seal was made."""

    length: int
    link: str
    at: str


@dataclass(slots=True)
class Proof:
    """What was walked: chains, events, events whose personal values were erased, and seals."""

    chains: int = 0
    events: int = 0
    erased: int = 0
    seals: int = 0


def verify(session: Session, seals: Iterable[str], *, on_progress: Callable[[int, int], None]) -> Proof:
    """Walk every chain, and hold it against the lines of `seals`. Raises BrokenRecord at the first fault."""
    proof = Proof()
    sealed = _read_seals(session, seals, proof)
    heads = {head.chain_id: head for head in _rows(session, CHAIN)}
    total = sum(head.length for head in heads.values() if isinstance(head.length, int))
    if HOUSE not in heads:
        raise BrokenRecord(f"Chain {HOUSE} has lost its head.")
    for chain_id, head, events in _chains(session, heads):
        walk = _Walk(session.keyring.audit_keys, chain_id, sealed.pop(chain_id, []))
        for event in events:
            walk.step(event)
        walk.end(head)
        proof.chains += 1
        proof.events += walk.position
        proof.erased += walk.erased
        on_progress(proof.events, total)
    for chain_id in sorted(sealed):
        raise BrokenRecord(f"Chain {chain_id} is missing: a seal of {sealed[chain_id][0].at} has it.")
    return proof


def seal(session: Session, *, at: datetime) -> str:
    """One signed line that says how long each chain is and by which link it ends. Keep it away from the database."""
    heads = session.execute(select(CHAIN.c.chain_id, CHAIN.c.length, CHAIN.c.last_link).order_by(CHAIN.c.chain_id))
    keys = session.keyring.audit_keys
    body = {
        "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chains": {str(head.chain_id): [head.length, head.last_link[:SEALED_LINK_LENGTH]] for head in heads},
        "key_id": keys.current_id,
    }
    return canonical(body | {"signature": keys.link(keys.current_id, {"seal": body})})


def _read_seals(session: Session, lines: Iterable[str], proof: Proof) -> dict[int, list[Sealed]]:
    sealed: dict[int, list[Sealed]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            body = json.loads(line)
            signature = body.pop("signature")
            if not compare_digest(session.keyring.audit_keys.link(body["key_id"], {"seal": body}), signature):
                raise BrokenRecord(f"Line {number} of the seals was changed: its signature doesn't fit.")
            for chain_id, (length, link) in body["chains"].items():
                if length:
                    sealed[int(chain_id)].append(Sealed(length, link, body["at"]))
        except UnknownKey as error:
            raise BrokenRecord(f"Line {number} of the seals can't be proven. {error}.") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BrokenRecord(f"Line {number} of the seals isn't a seal.") from None
        proof.seals += 1
    return sealed


def _chains(session: Session, heads: dict[int, Row[Any]]) -> Iterator[tuple[int, Row[Any] | None, Iterable[Row[Any]]]]:
    """Each chain that has an event, by id, with its head; then the heads that no event belongs to."""
    for chain_id, events in groupby(_rows(session, EVENT), key=lambda event: event.chain_id):
        yield chain_id, heads.pop(chain_id, None), events
    for chain_id, head in heads.items():
        yield chain_id, head, ()


def _rows(session: Session, table: Table) -> Iterator[Row[Any]]:
    """All rows by their key, many at once; from where one can't be read one by one, up to it. Raises BrokenRecord."""
    key, last = tuple(table.primary_key), None
    for at_once in (ROWS_AT_ONCE, 1):
        rest = true() if last is None else tuple_(*key) > tuple_(*(getattr(last, column.name) for column in key))
        rows = select(table).where(rest).order_by(*key)
        try:
            with session.execute(rows, execution_options={"yield_per": at_once}) as found:
                for last in found:
                    yield last
        except (TypeError, ValueError, OverflowError, OSError):  # of another type than its column, or out of range
            continue
        except OperationalError as error:
            if "Could not decode" not in str(error.orig):  # SQLite: text that isn't UTF-8
                raise
            continue
        return
    behind = "at the start" if last is None else f"behind chain {last[0]}" + (f", link {last[1]}" * (len(key) > 1))
    raise BrokenRecord(f"The row of {table.name} {behind} can't be read: a column holds what isn't of its kind.")


@dataclass(slots=True)
class _Walk:
    """A walk along one chain: how far it came, and by which link."""

    keys: ChainKeys
    chain_id: int
    sealed: list[Sealed]
    position: int = 0
    link: str = GENESIS
    erased: int = 0
    last_emptied: int = 0
    last_erasure: int = 0
    _seals: dict[int, list[Sealed]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for each in self.sealed:
            self._seals[each.length].append(each)

    def step(self, event: Row[Any]) -> None:
        self.position += 1
        if event.position != self.position:
            raise self._broken("is missing")
        try:
            link = self.keys.link(event.key_id, linked_facts(dict(event._mapping), self.link))
            fits = compare_digest(link, event.link)
        except UnknownKey as error:
            raise self._broken(f"can't be proven. {error}") from None
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise self._broken("was changed: it doesn't fit its link")
        for each in self._seals.get(self.position, ()):
            if not event.link.startswith(each.link):
                raise self._broken(f"isn't the one that was sealed at {each.at}")
        self._check_personal(event)
        if event.action == ERASE:
            self.last_erasure = self.position
        self.link = event.link

    def end(self, head: Row[Any] | None) -> None:
        for each in self.sealed:
            if each.length > self.position:
                self.position += 1
                raise self._broken(f"is missing: at {each.at} the chain was sealed with {each.length} links")
        if self.last_emptied and self.last_emptied >= self.last_erasure:
            self.position = self.last_emptied
            raise self._broken("has lost its personal values, and no erasure says why")
        if head is None or not isinstance(head.length, int) or head.length < self.position:
            raise self._broken("is one more than the chain's head knows of")
        if head.length > self.position:
            self.position += 1
            raise self._broken(f"is missing: the chain's head has {head.length} links")
        if head.last_link != self.link:
            raise self._broken("isn't the last link that the chain's head has")
        if self.position == 0 and self.chain_id != HOUSE:
            raise BrokenRecord(f"Chain {self.chain_id} has a head, but no link.")

    def _check_personal(self, event: Row[Any]) -> None:
        digests = _digests(event)
        if event.personal is None:
            if digests:
                self.last_emptied = self.position
                self.erased += 1
            return
        try:
            said = json.loads(event.personal)
            salt, values = said["salt"], said["values"]
            fits = (
                bool(digests)
                and len(salt) == SALT_LENGTH  # else the start of a value could move into it
                and canonical({"salt": salt, "values": values}) == event.personal
                and digests == {path: digest(salt, path, value) for path, value in values.items()}
            )
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            fits = False
        if not fits:
            raise self._broken("was changed in its personal values")

    def _broken(self, what: str) -> BrokenRecord:
        return BrokenRecord(f"Chain {self.chain_id}, link {self.position} {what}.")


def _digests(event: Row[Any]) -> Facts:
    """The digests that stand for personal values in an event, by where they stand."""
    sides = {name: json.loads(text) for name in ("before", "after") if (text := getattr(event, name)) is not None}
    found = {
        f"{side}.{name}": value
        for side, facts in sides.items()
        for name, value in facts.items()
        if is_digest(name, value)
    }
    return found | ({"reason": event.reason} if event.reason else {})

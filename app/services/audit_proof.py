"""Proof of the record: every chain is walked link by link, and seals kept elsewhere say how far each had come.

A changed event doesn't fit its link, a removed one leaves a gap, and one cut off at the end leaves the head longer than
the chain. Only who cuts off the end and mends the head, or has the key, needs a seal to be found out.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from itertools import groupby
from typing import Any

from sqlalchemy import Row, func, select

from app.core.chains import GENESIS, UnknownKey, canonical, digest
from app.core.db import Session
from app.services.audit import CHAIN, ERASE, EVENT, Facts, is_digest, linked_facts

CHAINS_AT_ONCE = 1000
ROWS_AT_ONCE = 1000
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
    total = int(session.execute(select(func.coalesce(func.sum(CHAIN.c.length), 0))).scalar_one())
    for chain_id, head, events in _chains(session):
        walk = _Walk(session, chain_id, sealed.pop(chain_id, []))
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
    keys = session.settings.audit_keys
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
            if not compare_digest(session.settings.audit_keys.link(body["key_id"], {"seal": body}), signature):
                raise BrokenRecord(f"Line {number} of the seals was changed: its signature doesn't fit.")
            for chain_id, (length, link) in body["chains"].items():
                if length:
                    sealed[int(chain_id)].append(Sealed(length, link, body["at"]))
        except UnknownKey as error:
            raise BrokenRecord(f"Line {number} of the seals can't be proven. {error}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BrokenRecord(f"Line {number} of the seals isn't a seal.") from None
        proof.seals += 1
    return sealed


def _chains(session: Session) -> Iterator[tuple[int, Row[Any] | None, Iterable[Row[Any]]]]:
    """Each chain that has a head or an event, by id, with both."""
    behind = -1
    while True:
        heads = session.execute(
            select(CHAIN).where(CHAIN.c.chain_id > behind).order_by(CHAIN.c.chain_id).limit(CHAINS_AT_ONCE)
        ).all()
        within = EVENT.c.chain_id > behind
        if len(heads) == CHAINS_AT_ONCE:
            within &= EVENT.c.chain_id <= heads[-1].chain_id
        yield from _merged(heads, _events(session, within))
        if len(heads) < CHAINS_AT_ONCE:
            return
        behind = heads[-1].chain_id


def _merged(
    heads: Iterable[Row[Any]], events: Iterator[Row[Any]]
) -> Iterator[tuple[int, Row[Any] | None, Iterable[Row[Any]]]]:
    waiting = deque(heads)
    for chain_id, of_chain in groupby(events, key=lambda event: event.chain_id):
        while waiting and waiting[0].chain_id < chain_id:
            head = waiting.popleft()
            yield head.chain_id, head, ()
        has_head = waiting and waiting[0].chain_id == chain_id
        yield chain_id, waiting.popleft() if has_head else None, of_chain
    for head in waiting:
        yield head.chain_id, head, ()


def _events(session: Session, within: Any) -> Iterator[Row[Any]]:
    statement = select(EVENT).where(within).order_by(EVENT.c.chain_id, EVENT.c.position)
    last: Row[Any] | None = None
    try:
        with session.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE}) as rows:
            for last in rows:
                yield last
    except (TypeError, ValueError, OverflowError) as error:  # what a column holds isn't of its kind
        where = f"chain {last.chain_id}, link {last.position}" if last is not None else "the first"
        raise BrokenRecord(f"An event soon behind {where} can't be read: {error}.") from None


@dataclass(slots=True)
class _Walk:
    """A walk along one chain: how far it came, and by which link."""

    session: Session
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
            link = self.session.settings.audit_keys.link(event.key_id, linked_facts(dict(event._mapping), self.link))
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
        if self.last_emptied > self.last_erasure:
            self.position = self.last_emptied
            raise self._broken("has lost its personal values, and no erasure says why")
        if head is None or head.length < self.position:
            raise self._broken("is one more than the chain's head knows of")
        if head.length > self.position:
            self.position += 1
            raise self._broken(f"is missing: the chain's head has {head.length} links")
        if head.last_link != self.link:
            raise self._broken("isn't the last link that the chain's head has")

    def _check_personal(self, event: Row[Any]) -> None:
        digests = _digests(event)
        if event.personal is None:
            if digests:
                self.last_emptied = self.position
                self.erased += 1
            return
        try:
            said = json.loads(event.personal)
            fits = canonical(said) == event.personal and digests == {
                path: digest(said["salt"], path, value) for path, value in said["values"].items()
            }
        except (TypeError, ValueError, KeyError, AttributeError):
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

"""What a backup must bring back: rows of each table, each person's hours, the heads of the record's chains.

Asked for in one snapshot, and in words that the tables of older revisions understand too.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from sqlalchemy import func, inspect, quoted_name, select, table

from app.core.database.dialect import epoch, whole_seconds
from app.core.database.migrations import revisions_of
from app.core.database.session import Session
from app.models.metadata import own_tables
from app.models.tables import CHAIN, ENTRY
from app.schemas.operations.backup import Facts


def facts_of(session: Session) -> Facts:
    """The facts of our tables as this transaction sees them."""
    connection = session.connection()
    names = own_tables() & set(inspect(connection).get_table_names())
    return Facts(
        revision=", ".join(sorted(revisions_of(connection))),
        tables={name: _count(session, name) for name in sorted(names)},
        entries=_hours(session) if ENTRY.name in names else {},
        chains=_heads(session) if CHAIN.name in names else {},
    )


def first_difference(said: Facts, found: Facts) -> str | None:
    """The first thing that isn't as the backup says, in a sentence; None where all is."""
    if said.revision != found.revision:
        return f"The backup says revision {said.revision}, and the restored database has {found.revision}."
    for what, before, after in (
        ("rows of {}", said.tables, found.tables),
        ("entries and seconds of person {}", said.entries, found.entries),
        ("links of chain {}, and the last one,", said.chains, found.chains),
    ):
        for key, one, other in _differences(before, after):
            name = what.format(key)
            return f"The {name}: the backup says {_told(one)}, and the restored database has {_told(other)}."
    return None


def _differences(before: Mapping[Any, Hashable], after: Mapping[Any, Hashable]) -> Iterator[tuple[Any, Any, Any]]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield key, before.get(key), after.get(key)


def _told(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _count(session: Session, name: str) -> int:
    counted = select(func.count()).select_from(table(quoted_name(name, quote=True)))
    return int(session.execute(counted).scalar_one())


def _hours(session: Session) -> dict[int, tuple[int, int]]:
    length = epoch(ENTRY.c.end_time) - epoch(ENTRY.c.start_time)
    person, seconds = ENTRY.c.user_id, whole_seconds(func.coalesce(func.sum(length), 0))
    rows = session.execute(select(person, func.count(), seconds).group_by(person).order_by(person))
    return {person_id: (entries, total) for person_id, entries, total in rows}


def _heads(session: Session) -> dict[int, tuple[int, str]]:
    rows = session.execute(select(CHAIN.c.chain_id, CHAIN.c.length, CHAIN.c.last_link).order_by(CHAIN.c.chain_id))
    return {chain_id: (length, link) for chain_id, length, link in rows}

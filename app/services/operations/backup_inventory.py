"""What a backup must bring back: rows of each table, each person's hours, the heads of the record's chains.

Asked for in one snapshot, and in words that the tables of older revisions understand too.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from sqlalchemy import func, inspect, quoted_name, select, table

from app.core.database.dialect import epoch, whole_seconds
from app.core.database.migrations import current_revisions
from app.core.database.session import Session
from app.models.metadata import own_tables
from app.models.tables import AUDIT_CHAIN, ENTRY
from app.schemas.operations.backup import DatabaseInventory


def collect_facts(session: Session) -> DatabaseInventory:
    """The facts of our tables as this transaction sees them."""
    connection = session.connection()
    names = own_tables() & set(inspect(connection).get_table_names())
    return DatabaseInventory(
        revision=", ".join(sorted(current_revisions(connection))),
        tables={name: _count(session, name) for name in sorted(names)},
        entries=_sum_per_user(session) if ENTRY.name in names else {},
        chains=_chain_heads(session) if AUDIT_CHAIN.name in names else {},
    )


def describe_difference(expected: DatabaseInventory, actual: DatabaseInventory) -> str | None:
    """The first thing that isn't as the backup says, in a sentence; None where all is."""
    if expected.revision != actual.revision:
        return f"The backup says revision {expected.revision}, and the restored database has {actual.revision}."
    for template, before, after in (
        ("rows of {}", expected.tables, actual.tables),
        ("entries and seconds of person {}", expected.entries, actual.entries),
        ("links of chain {}, and the last one,", expected.chains, actual.chains),
    ):
        for key, left, right in _differences(before, after):
            name = template.format(key)
            return f"The {name}: the backup says {_format(left)}, and the restored database has {_format(right)}."
    return None


def _differences(before: Mapping[Any, Hashable], after: Mapping[Any, Hashable]) -> Iterator[tuple[Any, Any, Any]]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield key, before.get(key), after.get(key)


def _format(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _count(session: Session, name: str) -> int:
    query = select(func.count()).select_from(table(quoted_name(name, quote=True)))
    return int(session.execute(query).scalar_one())


def _sum_per_user(session: Session) -> dict[int, tuple[int, int]]:
    length = epoch(ENTRY.c.end_time) - epoch(ENTRY.c.start_time)
    user, seconds = ENTRY.c.user_id, whole_seconds(func.coalesce(func.sum(length), 0))
    rows = session.execute(select(user, func.count(), seconds).group_by(user).order_by(user))
    return {user_id: (entries, total) for user_id, entries, total in rows}


def _chain_heads(session: Session) -> dict[int, tuple[int, str]]:
    rows = session.execute(
        select(AUDIT_CHAIN.c.chain_id, AUDIT_CHAIN.c.length, AUDIT_CHAIN.c.last_link).order_by(AUDIT_CHAIN.c.chain_id)
    )
    return {chain_id: (length, link) for chain_id, length, link in rows}

"""Inventory of a database, to compare a backup with its restore: rows per table, hours per user, chain heads.

All queries use one snapshot, and run on the tables of older revisions too.
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
    """Collect the inventory of the service's tables in this transaction."""
    connection = session.connection()
    names = own_tables() & set(inspect(connection).get_table_names())
    return DatabaseInventory(
        revision=", ".join(sorted(current_revisions(connection))),
        tables={name: _count(session, name) for name in sorted(names)},
        entries=_sum_per_user(session) if ENTRY.name in names else {},
        chains=_chain_heads(session) if AUDIT_CHAIN.name in names else {},
    )


def describe_difference(expected: DatabaseInventory, actual: DatabaseInventory) -> str | None:
    """Describe the first difference in one sentence. Returns None if there is none."""
    if expected.revision != actual.revision:
        return f"The backup has revision {expected.revision}, but the restored database has {actual.revision}."
    for template, before, after in (
        ("rows of {}", expected.tables, actual.tables),
        ("entries and seconds of user {}", expected.entries, actual.entries),
        ("links and last link of chain {}", expected.chains, actual.chains),
    ):
        for key, left, right in _differences(before, after):
            name = template.format(key)
            return f"The {name} differ. The backup has {_format(left)}, but the database has {_format(right)}."
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

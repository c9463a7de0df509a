"""Operations on a transaction, for SQLite."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Select, Table, Update, func, select

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.sqlite.engine import set_statement_timeout

_SCHEMA_OBJECTS = """
    SELECT lower(type) || ' ' || name, sql FROM sqlite_master
    WHERE NOT (type = 'index' AND sql IS NULL)
    AND NOT (type = 'table' AND name IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4'))
"""
"""All objects except those that SQLite itself creates. A trigger may have any name, and its type any case."""

_MAX_NAMED_DAMAGES = 20


class SQLiteOperations:
    """Operations without deferred statements and locks: a write transaction locks the whole file."""

    def execute_later(
        self, connection: Connection, statement: Insert | Update | Delete, values: dict[str, Any]
    ) -> None:
        connection.execute(statement, values)

    def set_statement_timeout(self, connection: Connection, seconds: int) -> None:
        set_statement_timeout(connection, seconds)

    def set_lock_timeout(self, connection: Connection, milliseconds: int) -> None:
        """Do nothing: the write transaction has locked the whole file already."""

    def disable_timeouts(self, connection: Connection) -> None:
        set_statement_timeout(connection, math.inf)

    def lock_keys(self, connection: Connection, *keys: str) -> None:
        """Do nothing: the write transaction has locked the whole file already."""

    def find_missing_privileges(self, connection: Connection, required: Mapping[str, Sequence[str]]) -> list[str]:
        """Return no privileges, because SQLite has none."""
        return []

    def check_writable(self, connection: Connection) -> None:
        """Do nothing: SQLite has no setting that makes transactions read-only."""

    def find_hidden_tables(self, _connection: Connection, _tables: Set[str]) -> list[str]:
        """Return no tables, because an SQLite file has one schema."""
        return []

    def find_damage(self, connection: Connection, _tables: Set[str]) -> list[str]:
        results = connection.exec_driver_sql(f"PRAGMA integrity_check({_MAX_NAMED_DAMAGES})").scalars()
        return [f"{' '.join(result.split())}." for result in results if result != "ok"]

    def allocate_ids(self, connection: Connection, table: Table, count: int) -> Iterable[int]:
        last = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
        return range(last + 1, last + 1 + count)

    def read_schema_objects(self, connection: Connection, _tables: Set[str]) -> dict[str, str]:
        """Return all objects. Their white space does not count."""
        rows = connection.exec_driver_sql(_SCHEMA_OBJECTS)
        return {name: " ".join(str(sql).split()) for name, sql in rows}

    def write_csv(
        self, connection: Connection, statement: Select[Any], write: Callable[[bytes], object], delimiter: str
    ) -> None:
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
        # Always closed: a half-read statement would keep its old snapshot on the pooled connection until it is garbage
        # collected.
        with connection.execute(statement, execution_options={"yield_per": FETCH_SIZE}) as rows:
            for lines in rows.partitions():
                writer.writerows(lines)
                write(buffer.getvalue().encode())
                buffer.seek(0)
                buffer.truncate()

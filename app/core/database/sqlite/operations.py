"""The operations on a transaction that SQLite does in its own way."""

import csv
import io
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Select, Table, Update, func, select

from app.core.database.execution_options import FETCH_SIZE


class SQLiteOperations:
    """SQLite: there is no round trip to save and no time-out, and a writing transaction holds the whole file."""

    def execute_later(
        self, connection: Connection, statement: Insert | Update | Delete, values: dict[str, Any]
    ) -> None:
        connection.execute(statement, values)

    def set_statement_timeout(self, connection: Connection, seconds: int) -> None:
        """Nothing: SQLite has no limit."""

    def disable_timeouts(self, connection: Connection) -> None:
        """Nothing: SQLite has no limit."""

    def lock_keys(self, connection: Connection, *keys: str) -> None:
        """Nothing: the writing transaction holds the whole file already."""

    def allocate_ids(self, connection: Connection, table: Table, count: int) -> Iterable[int]:
        last = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
        return range(last + 1, last + 1 + count)

    def write_csv(self, connection: Connection, statement: Select[Any], write: Callable[[bytes], object]) -> None:
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\r\n")
        # Closed whatever happens: a statement read half-way would keep the connection in the past, for whoever gets it
        # next, until the garbage collector comes by.
        with connection.execute(statement, execution_options={"yield_per": FETCH_SIZE}) as rows:
            for lines in rows.partitions():
                writer.writerows(lines)
                write(buffer.getvalue().encode())
                buffer.seek(0)
                buffer.truncate()

"""Operations on a transaction, for PostgreSQL."""

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cache
from typing import Any

from psycopg2 import Error as PostgreSQLError
from sqlalchemy import Connection, Delete, Insert, Select, Table, Update, create_mock_engine, func, select
from sqlalchemy.engine import Compiled
from sqlalchemy.exc import DBAPIError

from app.core.database.postgresql.engine import get_dbapi_connection, render_prepared, set_statement_timeout
from app.core.database.postgresql.index_check import find_index_damage
from app.core.database.postgresql.privileges import check_writable, find_missing_privileges
from app.core.database.postgresql.schema_objects import SCHEMA_OBJECTS
from app.core.database.postgresql.search_path import find_hidden_tables

_CHUNK_BYTES = 256 * 1024
_DIALECT = create_mock_engine("postgresql+psycopg2://", lambda *_: None).dialect


def key_lock(key: str, *, shared: bool = False) -> tuple[str, dict[str, Any]]:
    """Return the statement that locks a key until the transaction ends, for SEND_FIRST. `lock_keys` uses the same lock.

    Others that share the lock do not wait for each other. Requests are granted in order. So a shared request waits
    behind an exclusive one that already waits. For row locks PostgreSQL does not do that.
    """
    return f"SELECT pg_advisory_xact_lock{'_shared' if shared else ''}(%(number)s)", {"number": _lock_number(key)}


class PostgreSQLOperations:
    """Deferred statements, timeouts, advisory locks, sequences and COPY."""

    def execute_later(
        self, connection: Connection, statement: Insert | Update | Delete, values: dict[str, Any]
    ) -> None:
        """Render the statement as text and queue it in front of the next one."""
        compiled = _compile(statement)
        dbapi_connection = get_dbapi_connection(connection)
        params = compiled.construct_params(values) or {}
        dbapi_connection.queue_statement(render_prepared(dbapi_connection, compiled.string, params))

    def set_statement_timeout(self, connection: Connection, seconds: int) -> None:
        set_statement_timeout(connection, seconds)

    def set_lock_timeout(self, connection: Connection, milliseconds: int) -> None:
        """Queue the statement in front of the next one."""
        get_dbapi_connection(connection).queue_statement(f"SET LOCAL lock_timeout = '{milliseconds}ms'; ")

    def disable_timeouts(self, connection: Connection) -> None:
        set_statement_timeout(connection, 0)
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")

    def lock_keys(self, connection: Connection, *keys: str) -> None:
        """Lock the keys in the given order. Callers must use one order everywhere, to avoid deadlocks."""
        connection.execute(select(*(func.pg_advisory_xact_lock(_lock_number(key)) for key in keys)))

    def find_missing_privileges(self, connection: Connection, required: Mapping[str, Sequence[str]]) -> list[str]:
        return find_missing_privileges(connection, required)

    def check_writable(self, connection: Connection) -> None:
        check_writable(connection)

    def find_hidden_tables(self, connection: Connection, tables: Set[str]) -> list[str]:
        return find_hidden_tables(connection, tables)

    def find_damage(self, connection: Connection, tables: Set[str]) -> list[str]:
        return find_index_damage(connection, tables)

    def allocate_ids(self, connection: Connection, table: Table, count: int) -> Iterable[int]:
        sequence = func.pg_get_serial_sequence(f'"{table.name}"', "id")
        ids = select(func.nextval(sequence)).select_from(func.generate_series(1, count))
        return connection.execute(ids).scalars().all()

    def read_schema_objects(self, connection: Connection, tables: Set[str]) -> dict[str, str]:
        connection.exec_driver_sql("SET LOCAL quote_all_identifiers = off")  # it changes the text of definitions
        rows = connection.exec_driver_sql(SCHEMA_OBJECTS, {"tables": list(tables)})
        return {row[0]: row[1] for row in rows}

    def write_csv(
        self, connection: Connection, statement: Select[Any], write: Callable[[bytes], object], delimiter: str
    ) -> None:
        """Stream the rows with COPY: PostgreSQL renders them, and Python builds no objects."""
        compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
        dbapi_connection = get_dbapi_connection(connection)
        with dbapi_connection.cursor() as cursor, io.BufferedWriter(_CrlfLines(write), _CHUNK_BYTES) as out:
            rows = cursor.mogrify(compiled.string, compiled.construct_params()).decode()
            try:
                cursor.copy_expert(f"COPY ({rows}) TO STDOUT (FORMAT csv, DELIMITER '{delimiter}')", out)
            except PostgreSQLError as error:  # wrapped as SQLAlchemy does
                raise DBAPIError.instance("COPY", None, error, PostgreSQLError, hide_parameters=True) from error
            except BaseException:
                connection.invalidate()  # otherwise the remaining rows would have to be read
                raise


class _CrlfLines(io.RawIOBase):
    """A file that converts COPY's line feeds to CRLF (RFC 4180), except inside quotes."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write, self._is_quoted = write, False

    def writable(self) -> bool:
        return True

    def write(self, lines: Any) -> int:
        chunk = bytes(lines)
        self._write(
            chunk.replace(b"\n", b"\r\n")
            if b'"' not in chunk and not self._is_quoted
            else self._convert_line_ends(chunk)
        )
        return len(chunk)

    def _convert_line_ends(self, chunk: bytes) -> bytes:
        # An escaped quote is written twice, so it toggles the state twice.
        parts = chunk.split(b'"')
        for number, part in enumerate(parts):
            if self._is_quoted == bool(number % 2):
                parts[number] = part.replace(b"\n", b"\r\n")
        self._is_quoted ^= len(parts) % 2 == 0
        return b'"'.join(parts)


def _lock_number(key: str) -> int:
    """Return the 64-bit number that PostgreSQL's advisory locks take, the same in every process."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], signed=True)


@cache
def _compile(statement: Insert | Update | Delete) -> Compiled:
    """Compile a statement for psycopg2. Its values must be of types that psycopg2 adapts itself."""
    return statement.compile(dialect=_DIALECT)

"""PostgreSQL dumps. pg_dump uses a transaction's snapshot. A restore copies a dump's rows but runs none of its SQL."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import IO, Any

from psycopg2 import Error as PostgreSQLError
from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its name
from psycopg2.extensions import make_dsn
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.postgresql.catalog import OWN_TABLES
from app.core.database.postgresql.engine import get_dbapi_connection
from app.core.database.postgresql.online_migration import RETRY_PAUSE_SECONDS, TOTAL_WAIT_SECONDS, Report
from app.core.time.clock import monotonic_seconds

INSTALL_ROOT = "usr/lib/postgresql"
SECRET_KEYWORDS = frozenset({"password", "sslpassword", "connection_factory"})
"""Connection parameters that are not passed as arguments, because every local user can read those."""
LOCK_TIMEOUT_MS = 500
"""Less than PostgreSQL's deadlock_timeout, which is 1 s."""
DUMP_OPTIONS = ("--format=custom", "--encoding=UTF8", "--no-password", "--load-via-partition-root")
COPY_LINE = re.compile(rb'COPY (?:.+\.)?"?(\w+)"? \(([\w", ]+)\) FROM stdin;\n')
SETVAL_LINE = re.compile(rb"SELECT pg_catalog\.setval\('(?:.+\.)?(\w+)_id_seq', (\d+), (true|false)\);\n")
PARTITION = re.compile(r"_(p\d+|\d{4}_\d{2}|rest)$")
"""Suffix of a partition's name, as in deploy/scaling. Dumps of version 0.7 and earlier list rows per partition."""
DumpWriter = Callable[[IO[bytes]], None]
"""A function that writes a dump to a file."""
_RELATIONS = f"""
    {OWN_TABLES} SELECT format('%%I.%%I', nspname, relname), relkind = 'r'
    FROM ours JOIN pg_class ON pg_class.oid = ours.oid JOIN pg_namespace ON pg_namespace.oid = relnamespace
"""  # noqa: S608 - built from constants, here and below
_CONSTRAINT_STATEMENTS = f"""
    {OWN_TABLES} SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
        format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND conrelid IN (SELECT oid FROM ours)
    UNION ALL
    SELECT format('ALTER TABLE %%s DISABLE TRIGGER %%I', tgrelid::regclass, tgname),
        format('ALTER TABLE %%s ENABLE TRIGGER %%I', tgrelid::regclass, tgname)
    FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O' AND tgrelid IN (SELECT oid FROM ours)
"""  # noqa: S608
"""Pairs of statements that drop and restore foreign keys, and disable and enable triggers.

`pg_restore --disable-triggers` would require a superuser.
"""


class ProgramFailed(Exception):
    """pg_dump or pg_restore is missing or too old, or it failed. The message is one line."""


def find_program(name: str, *, at_least: int) -> Path:
    """Return the oldest installed program of this name with at least this major version.

    The oldest is best because more versions of pg_restore can read its dumps. Raises ProgramFailed.
    """
    on_path = [Path(executable)] if (executable := shutil.which(name)) else []
    versions = {path: program_major(path) for path in (*on_path, *Path("/").glob(f"{INSTALL_ROOT}/*/bin/{name}"))}
    suitable = [path for path, version in versions.items() if version >= at_least]
    if suitable:
        return min(suitable, key=lambda path: versions[path])
    found_versions = ", ".join(str(version) for version in sorted(set(versions.values()))) or "none"
    raise ProgramFailed(
        f"{name} {at_least} or newer is required, but found: {found_versions}. Install PostgreSQL's client programs."
    )


def server_major(connection: Connection) -> int:
    """Return the major version of the server."""
    return get_dbapi_connection(connection).server_version // 10000


@contextmanager
def pg_dump_stream(connection: Connection, pg_dump: Path, tables: Set[str]) -> Iterator[IO[bytes]]:
    """Dump these tables and their partitions in PostgreSQL's custom format, from the snapshot of the open transaction.

    Raises ProgramFailed at the end of the block if the dump is not complete.
    """
    table_options = [f"--table={name}" for name, _ in _query_tables(connection, _RELATIONS, tables)]
    snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    target, environment = _connection_arguments(connection)
    with _run_program([pg_dump, *DUMP_OPTIONS, f"--snapshot={snapshot}", *table_options, target], environment) as dump:
        yield dump


def verify_dump(connection: Connection, pg_restore: Path, tables: Set[str], unpack: DumpWriter) -> None:
    """Check with pg_restore that the dump's table of contents lists the rows of all tables. Raises ProgramFailed."""
    with _run_program([pg_restore, "--list"], {}, unpack) as lines:
        listed = sum(b" TABLE DATA " in line for line in lines)
    expected = sum(has_rows for _, has_rows in _query_tables(connection, _RELATIONS, tables))
    if listed < expected:
        raise ProgramFailed(f"The dump has the rows of {listed} tables, but the database has {expected} tables.")


def lock_tables(connection: Connection, tables: Set[str], *, report: Report) -> None:
    """Lock these tables in ACCESS EXCLUSIVE mode until the connection's transaction ends.

    Each attempt gets all locks within LOCK_TIMEOUT_MS or none. It therefore causes no deadlock, and requests do not
    queue behind a restore that waits for a long export. `report` is called once if it has to wait.

    Raises OperationalError if a table is still locked after TOTAL_WAIT_SECONDS.
    """
    names = ", ".join(name for name, _ in _query_tables(connection, _RELATIONS, tables))
    deadline = monotonic_seconds() + TOTAL_WAIT_SECONDS
    if _try_lock(connection, names, is_last=False):
        return
    report("Waiting for an export or a long write to end.")
    while not _try_lock(connection, names, is_last=monotonic_seconds() > deadline):
        time.sleep(RETRY_PAUSE_SECONDS)


def _try_lock(connection: Connection, names: str, *, is_last: bool) -> bool:
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
            connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")  # what follows is not repeated, so it may wait
    except OperationalError as error:
        if is_last or not isinstance(error.orig, LockNotAvailable):
            raise
        return False
    return True


def restore_rows(
    connection: Connection, pg_restore: Path, tables: Set[str], unpack: DumpWriter, *, on_rows: Callable[[int], None]
) -> None:
    """Replace the rows of these tables and the values of their sequences by those of a dump.

    It runs in the connection's open transaction. No SQL of the dump is executed: its rows go into our COPY statements.
    `on_rows` receives the size of each batch of rows, for a progress display.

    Raises ProgramFailed and DBAPIError. Then the caller must roll the transaction back.
    """
    relations, constraints = (
        _query_tables(connection, _RELATIONS, tables),
        _query_tables(connection, _CONSTRAINT_STATEMENTS, tables),
    )
    for drop, _ in constraints:
        connection.exec_driver_sql(drop)
    connection.exec_driver_sql(f"TRUNCATE {', '.join(name for name, _ in relations)}")
    command = (pg_restore, "--data-only", "--file=-")
    try:
        with get_dbapi_connection(connection).cursor() as cursor, _run_program(command, {}, unpack) as script:
            _copy_rows(cursor, script, tables, on_rows)
    except PostgreSQLError as error:  # wrapped as SQLAlchemy does
        raise DBAPIError.instance("COPY", None, error, PostgreSQLError, hide_parameters=True) from error
    for _, create in constraints:
        connection.exec_driver_sql(create)
    connection.exec_driver_sql("ANALYZE")


def _copy_rows(cursor: Cursor, script: IO[bytes], tables: Set[str], on_rows: Callable[[int], None]) -> None:
    """Copy the rows and the sequence values out of pg_restore's script, and skip everything else."""
    next_ids: dict[str, int] = {}
    for line in script:
        if copy := COPY_LINE.fullmatch(line):
            name, columns = copy[1].decode(), re.findall(r"\w+", copy[2].decode())
            table, rows = name if name in tables else PARTITION.sub("", name), _CopyRows(script, on_rows)
            if table in tables:
                quoted = ", ".join(f'"{column}"' for column in columns)
                cursor.copy_expert(f'COPY "{table}" ({quoted}) FROM STDIN', rows)
            while rows.read():
                pass
        elif (setval := SETVAL_LINE.fullmatch(line)) and (table := setval[1].decode()) in tables:
            next_ids[table] = int(setval[2]) + (setval[3] == b"true")
    _restart_sequences(cursor, tables, next_ids)


def _restart_sequences(cursor: Cursor, tables: Set[str], next_ids: dict[str, int]) -> None:
    """Restart each sequence at the dump's value, and always above the ids in the table.

    ALTER SEQUENCE can be rolled back, unlike `setval`.
    """
    cursor.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()")
    sequences = {name for (name,) in cursor.fetchall()}
    for table in tables:
        if (sequence := f"{table}_id_seq") in sequences:
            cursor.execute(f'SELECT coalesce(max(id), 0) + 1 FROM "{table}"')  # noqa: S608 - one of our tables
            (next_free_id,) = cursor.fetchone() or (1,)
            cursor.execute(f'ALTER SEQUENCE "{sequence}" RESTART WITH {max(next_free_id, next_ids.get(table, 1))}')


class _CopyRows(BytesIO):
    """The rows of one COPY in a script, as a file for psycopg2. A line with a backslash and a period ends them."""

    def __init__(self, script: IO[bytes], on_rows: Callable[[int], None]) -> None:
        super().__init__()
        self._lines = iter(script.readline, b"\\.\n")
        self._on_rows = on_rows

    def read(self, _size: int | None = -1, /) -> bytes:
        """Return the next complete rows."""
        lines = list(islice(self._lines, FETCH_SIZE))
        self._on_rows(len(lines))
        return b"".join(lines)


def _query_tables(connection: Connection, query: str, tables: Set[str]) -> Sequence[Any]:
    return connection.exec_driver_sql(query, {"tables": list(tables)}).all()


@contextmanager
def _run_program(
    command: Sequence[str | Path],
    environment: dict[str, str],
    feed: DumpWriter = lambda _: None,
) -> Iterator[IO[bytes]]:
    """Start a program, write to its input from a thread, and return its output. The block must read all of it.

    Raises ProgramFailed at the end of the block if the program failed. If the block fails, the program is killed.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - no shell, and arguments of our own
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"LC_ALL": "C"} | environment,
        )
        assert process.stdin is not None and process.stdout is not None
        feeder = Thread(target=_feed, args=(process.stdin, feed))
        feeder.start()
        try:
            yield process.stdout
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
            feeder.join()
        if process.returncode:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").splitlines()
            raise ProgramFailed(lines[0] if lines else f"{command[0]} failed with exit code {process.returncode}.")


def _feed(stdin: IO[bytes], feed: DumpWriter) -> None:
    with suppress(BrokenPipeError), stdin:  # the program has read enough, or it failed, which its exit code shows
        feed(stdin)


def _connection_arguments(connection: Connection) -> tuple[str, dict[str, str]]:
    """Return the argument and environment for a program to connect to the same server as this connection.

    If DB_URL names several hosts, only this server has the exported snapshot.
    """
    _, keywords = connection.dialect.create_connect_args(connection.engine.url)
    server_info = get_dbapi_connection(connection).info
    parameters = {name: value for name, value in keywords.items() if name not in SECRET_KEYWORDS}
    dsn = make_dsn(**parameters | {"host": server_info.host, "port": server_info.port})
    return f"--dbname={dsn}", {"PGPASSWORD": keywords["password"]} if keywords.get("password") else {}


def program_major(path: Path) -> int:
    """Return a program's major version, or 0 if it is unknown."""
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    match = re.search(r"\) (\d+)", output)
    return int(match[1]) if match else 0

"""PostgreSQL's own dumps: made by pg_dump from a transaction's snapshot, put in place by one transaction of ours."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import dropwhile
from pathlib import Path
from threading import Thread
from typing import IO

from psycopg2 import Error as PostgreSQLError
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its name
from psycopg2.extensions import make_dsn
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.core.database.postgresql.catalog import Ours
from app.core.database.postgresql.engine import driver_of

INSTALLED = "usr/lib/postgresql"
SECRET_KEYWORDS = frozenset({"password", "sslpassword", "connection_factory"})
"""What isn't given to a program as an argument, which everybody on the machine can read."""
CHUNK_BYTES = 1024 * 1024
DUMP_OPTIONS = ("--format=custom", "--encoding=UTF8", "--no-password")


class ProgramFailed(Exception):
    """pg_dump or pg_restore is missing, too old, or said no. The message is one line."""


def program(name: str, *, at_least: int) -> Path:
    """The oldest of the installed programs of this name whose major version will do, since what an older one writes
    can be read by more. Raises ProgramFailed."""
    on_path = [Path(found)] if (found := shutil.which(name)) else []
    versions = {path: major_of(path) for path in (*on_path, *Path("/").glob(f"{INSTALLED}/*/bin/{name}"))}
    good = [path for path, version in versions.items() if version >= at_least]
    if good:
        return min(good, key=lambda path: versions[path])
    found_versions = ", ".join(str(version) for version in sorted(set(versions.values()))) or "none"
    raise ProgramFailed(
        f"{name} {at_least} or newer is needed, and {found_versions} was found: install PostgreSQL's client programs."
    )


def server_major(connection: Connection) -> int:
    """The major version of the server behind a connection."""
    return driver_of(connection).server_version // 10000


@contextmanager
def dumping(connection: Connection, pg_dump: Path, ours: Ours) -> Iterator[IO[bytes]]:
    """The dump, in PostgreSQL's custom format, of what is ours as the connection's open transaction sees it.

    Raises ProgramFailed where somebody's routines are among it, which pg_dump can't leave out; and when the block ends,
    where it isn't whole.
    """
    chosen = _chosen(connection, ours)
    snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    target, environment = _reaching(connection)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - no shell, and arguments of our own
            [pg_dump, *DUMP_OPTIONS, f"--snapshot={snapshot}", *chosen, *target],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment,
        )
        with _ended(process):
            assert process.stdout is not None
            yield process.stdout
        _require_success("pg_dump", process, said)


def _chosen(connection: Connection, ours: Ours) -> list[str]:
    """The options with which pg_dump takes what is ours. It understands patterns: what is quoted is a plain name."""
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    if routines := ours.strange_routines(connection):
        raise ProgramFailed(
            f"The schema {schema} holds {', '.join(routines)}, which isn't this service's: move it to a schema of its "
            "own, or give the service one."
        )
    excluded = [f"--exclude-table={_quoted(schema)}.{_quoted(name)}" for name in ours.strange_relations(connection)]
    return [f"--schema={_quoted(schema)}", *excluded]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def check(connection: Connection, pg_restore: Path, ours: Ours, unpack: Callable[[IO[bytes]], None]) -> None:
    """Let pg_restore read what a dump lists: the rows of all tables. Raises ProgramFailed."""
    with _restoring(pg_restore, ["--list"], unpack) as lines:
        listed = sum(b" TABLE DATA " in line for line in lines)
    tables = ours.tables_with_rows(connection)
    if listed < tables:
        raise ProgramFailed(f"The dump has the rows of {listed} tables, and the database has {tables}.")


def put_in_place(
    connection: Connection,
    pg_restore: Path,
    ours: Ours,
    unpack: Callable[[IO[bytes]], None],
    *,
    on_rows: Callable[[int], None],
) -> None:
    """Let what is ours in the current schema be what a dump of it holds, in the connection's open transaction: nobody
    sees the one or the other until it ends, and whoever asks waits. Owners and grants of the dump are left out.

    Raises ProgramFailed, DBAPIError; then the transaction is to be undone.
    """
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    for statement in ours.clearing(connection):
        connection.exec_driver_sql(statement)
    paths = connection.exec_driver_sql(
        "SELECT current_setting('search_path'), set_config('search_path', '', true), "
        "set_config('check_function_bodies', 'off', true)"
    ).one()
    options = ["--file=-", "--no-owner", "--no-privileges", f"--schema={schema}"]
    with driver_of(connection).cursor() as cursor, _as_database_errors():
        with _restoring(pg_restore, options, unpack) as script:
            rest = _load(cursor, script, on_rows)
        _execute(cursor, rest)  # indexes, constraints, triggers: of a script that came to its end
    connection.exec_driver_sql("SELECT set_config('search_path', %s, true)", (paths[0],))
    connection.exec_driver_sql("ANALYZE")


@contextmanager
def _as_database_errors() -> Iterator[None]:
    try:
        yield
    except PostgreSQLError as error:  # as SQLAlchemy would have told it
        raise DBAPIError.instance("restore", None, error, PostgreSQLError, hide_parameters=True) from error


def _load(cursor: Cursor, script: IO[bytes], on_rows: Callable[[int], None]) -> list[bytes]:
    """Run a script of pg_restore's up to the last table's rows; the statements behind them. What it sets at its start
    is left out: a newer one sets what an older server doesn't know, and it is set already; as is what only psql knows.
    """
    statements: list[bytes] = []
    for line in dropwhile(lambda line: not line.startswith(b"-- Name: "), script):
        if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
            _execute(cursor, statements)
            cursor.copy_expert(line.decode(), _Rows(script, on_rows), CHUNK_BYTES)
            statements = []
        elif not line.startswith(b"\\unrestrict "):
            statements.append(line)
    return statements


def _execute(cursor: Cursor, statements: list[bytes]) -> None:
    if any(line.strip() and not line.startswith(b"--") for line in statements):
        cursor.execute(b"".join(statements))


class _Rows(BytesIO):
    """The rows of one COPY in a script, as psycopg2 reads them: at their end stands a line of its own."""

    def __init__(self, script: IO[bytes], on_rows: Callable[[int], None]) -> None:
        super().__init__()
        self._script = script
        self._on_rows = on_rows
        self._is_at_end = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Whole rows, of about so many bytes."""
        lines: list[bytes] = []
        missing = size or CHUNK_BYTES
        while missing > 0 and not self._is_at_end:
            line = self._script.readline()
            self._is_at_end = line in {b"\\.\n", b""}
            if not self._is_at_end:
                lines.append(line)
                missing -= len(line)
        self._on_rows(len(lines))
        return b"".join(lines)


@contextmanager
def _restoring(pg_restore: Path, options: list[str], unpack: Callable[[IO[bytes]], None]) -> Iterator[IO[bytes]]:
    """What pg_restore says of a dump that is unpacked into it. Raises ProgramFailed when the block ends."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - no shell, and arguments of our own
            [pg_restore, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=_plain_environment()
        )
        assert process.stdin is not None and process.stdout is not None
        feeder = Thread(target=_feed, args=(process.stdin, unpack))
        feeder.start()
        try:
            with _ended(process):
                yield process.stdout
        finally:
            feeder.join()
        _require_success("pg_restore", process, said)


def _feed(stdin: IO[bytes], unpack: Callable[[IO[bytes]], None]) -> None:
    with suppress(BrokenPipeError), stdin:  # it has read enough, or it failed and says so
        unpack(stdin)


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """See to it that the program is gone when the block ends, which reads all it says unless it fails."""
    try:
        yield
    except BaseException:
        process.kill()
        raise
    finally:
        assert process.stdout is not None
        process.stdout.close()
        process.wait()


def _require_success(name: str, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    if process.returncode:
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
        raise ProgramFailed(lines[0] if lines else f"{name} ended with {process.returncode}.")


def _reaching(connection: Connection) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment with which a program reaches the very server that a connection reached: of several
    hosts, only that one knows its snapshot."""
    _, keywords = connection.dialect.create_connect_args(connection.engine.url)
    reached = driver_of(connection).info
    told = {name: value for name, value in keywords.items() if name not in SECRET_KEYWORDS}
    dsn = make_dsn(**told | {"host": reached.host, "port": reached.port})
    password = {"PGPASSWORD": keywords["password"]} if keywords.get("password") else {}
    return [f"--dbname={dsn}"], _plain_environment() | password


def _plain_environment() -> dict[str, str]:
    """The environment, with what the programs say in English."""
    return os.environ | {"LC_ALL": "C"}


def major_of(path: Path) -> int:
    """A program's major version, 0 where it doesn't say."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0

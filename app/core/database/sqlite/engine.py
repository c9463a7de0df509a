"""The SQLAlchemy engine for an SQLite file: pragmas, and explicit BEGIN and ROLLBACK."""

import math
import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlmodel import create_engine

from app.core.config.settings import Settings
from app.core.database.sqlite.statement_timeout import TimedConnection
from app.core.spreadsheet import escape_formula

POOL_WAIT_SECONDS = 2
LOG_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
"""Bytes at the start of the -wal file, and in front of each page in it."""
Identity = tuple[int, int]
"""The device and the inode of a file."""


def sqlite_engine(settings: Settings) -> Engine:
    """Return an engine for the SQLite file of DB_URL. A write transaction takes the write lock at its beginning."""
    url = settings.database_url
    _create_private_file(str(url.database))
    engine = create_engine(
        url,
        pool_size=settings.max_db_connections,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        hide_parameters=True,
        # isolation_level=None: the driver's implicit BEGIN loses updates and savepoints. Ours is explicit, below.
        connect_args={
            "check_same_thread": False,
            "isolation_level": None,
            "timeout": settings.DB_LOCK_TIMEOUT_SECONDS,
            "factory": TimedConnection,
        },
    )
    FileGuard(str(url.database)).listen_to(engine)
    event.listen(engine, "begin", partial(_begin_transaction, timeout_seconds=settings.DB_STATEMENT_TIMEOUT_SECONDS))
    event.listen(engine, "reset", _roll_back)
    return engine


def check_file(settings: Settings) -> None:
    """Raise OperationalError if another process uses a -wal or -shm file that was deleted. See FileGuard."""
    FileGuard(str(settings.database_url.database)).check()


class FileGuard:
    """Rejects every transaction once the database's files are not those that the connections have opened.

    An open connection goes on with the files that it has opened. After `rm` it would write into a file that is gone
    when the process ends, after `mv` into one under another name. A commit is only in the -wal file at first.

    SQLite creates the -wal and -shm files with the first connection. It deletes them when the last one of all processes
    is closed. So they are expected while this process has an open connection, and compared with those that it opened.

    A process whose -wal file was deleted holds commits that no other process can read. So another process opens no
    connection meanwhile. Otherwise it would go on from an older state, and the last process to stop would decide which
    commits are lost.
    """

    def __init__(self, file: str) -> None:
        self._file, real_file = Path(file), os.path.realpath(file)
        self._log_files = Path(f"{real_file}-wal"), Path(f"{real_file}-shm")
        self._identity = _identity_of(status) if (status := _status_of(self._file)) else None
        self._log_identities: list[Identity | None] = []
        self._log_size = 0
        self._connections: set[int] = set()
        self._lock = Lock()  # the last connection is not closed between a look at the set and one at the files

    def listen_to(self, engine: Engine) -> None:
        """Check before the engine uses a new connection, and before each transaction."""
        event.listen(engine, "connect", lambda *_: self.check())  # before SQLite would create other files
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "connect", self._add)
        event.listen(engine, "close", self._remove)
        event.listen(engine, "begin", self._check_transaction)
        event.listen(engine, "checkin", lambda *_: self._note_log_size())

    def check(self) -> None:
        """Raise OperationalError if a file was deleted, replaced or emptied since it was opened."""
        with self._lock:
            fault = self._find_fault()
        if fault:
            raise _make_error(fault)

    def _find_fault(self) -> str:
        if self._identity is None:  # there was no file, so the engine cannot be used
            return ""
        file = _status_of(self._file)
        if file is None or _identity_of(file) != self._identity:
            return "the database file was deleted or replaced: put it back or restart"
        if not self._connections:
            pid = _find_process_with_deleted(self._log_files, file.st_ino)
            fault = f"the -wal or -shm file was deleted, and process {pid} still uses it: stop it without kill -9"
            return fault if pid else ""
        if self._find_log_identities() != self._log_identities:
            return "the -wal or -shm file was deleted or replaced: put it back, or stop without kill -9 and restart"
        if file.st_size == 0:  # the first connection writes a header into an empty file
            return "the database file was emptied: restore a backup"
        return ""

    def _find_log_identities(self) -> list[Identity | None]:
        return [_identity_of(status) if (status := _status_of(file)) else None for file in self._log_files]

    def _check_transaction(self, connection: Connection) -> None:
        self.check()
        if _size_of(self._log_files[0]) >= self._log_size:
            return
        expected_size = _find_expected_size(connection)
        size = _size_of(self._log_files[0])  # again, because another process may have written to it
        if expected_size is None or size < expected_size:
            raise _make_error("the -wal file was truncated, and commits are lost: restart, and compare with a backup")
        if expected_size >= 0:
            self._log_size = size

    def _note_log_size(self) -> None:
        """Note the size of the -wal file. It shrinks only if another process has moved all of it into the database."""
        self._log_size = max(self._log_size, _size_of(self._log_files[0]))

    def _add(self, connection: DBAPIConnection, _record: object) -> None:
        assert isinstance(connection, sqlite3.Connection)
        connection.execute("PRAGMA schema_version")  # opens both files, also those of a new database
        with self._lock:
            if not self._connections:
                self._log_identities = self._find_log_identities()
                self._log_size = 0
            self._connections.add(id(connection))

    def _remove(self, connection: DBAPIConnection, _record: object) -> None:
        with self._lock:
            self._connections.discard(id(connection))


def _find_process_with_deleted(files: Iterable[Path], inode: int) -> str:
    """Return the id of a process that uses the database and has one of these files open after it was deleted, or "".

    It finds processes of the same user and container only, and on Linux only. A file that was moved is not deleted.
    """
    links = {f"{file} (deleted)" for file in files}
    for pid in _find_lock_holders(inode):
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
            if any(_read_link(Path(descriptor)) in links for descriptor in descriptors):
                return pid
    return ""


def _find_lock_holders(inode: int) -> set[str]:
    """Return the ids of the processes that may have a lock on a file. Every connection has one on its database."""
    try:
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:  # ProcSubset=pid of systemd hides it. Then all processes are searched
        return {folder.name for folder in Path("/proc").glob("[0-9]*")}
    return {fields[4] for fields in map(str.split, locks) if fields[5].endswith(f":{inode}")}


def _read_link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _find_expected_size(connection: Connection) -> int | None:
    """Return the size that the -wal file must have at least, -1 if it is not known now, or None if it is too small.

    A checkpoint returns the number of frames. It moves them into the database, which is what they are for.
    """
    try:
        _, frames, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        page_size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    except OperationalError:  # a frame could not be read
        return None
    if frames <= 0:  # -1 during another checkpoint
        return int(frames)
    return LOG_HEADER_BYTES + int(frames) * (FRAME_HEADER_BYTES + int(page_size))


def _make_error(fault: str) -> OperationalError:
    return OperationalError(None, None, sqlite3.OperationalError(fault))


def _status_of(file: Path) -> os.stat_result | None:
    try:
        return file.stat()  # never open(): closing the file would release SQLite's locks of the whole process
    except OSError:
        return None


def _size_of(file: Path) -> int:
    return status.st_size if (status := _status_of(file)) else 0


def _identity_of(file: os.stat_result) -> Identity:
    return file.st_dev, file.st_ino


def _create_private_file(file: str) -> None:
    """Create the file, if it does not exist, with read and write permission for its owner only.

    A symbolic link to a missing file is followed, as SQLite does.
    """
    with suppress(OSError):  # the engine reports a missing folder
        os.close(os.open(os.path.realpath(file), os.O_CREAT | os.O_EXCL, 0o600))


def _set_pragmas(connection: DBAPIConnection, _record: object) -> None:
    assert isinstance(connection, sqlite3.Connection)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # an acknowledged punch survives a power cut
        "foreign_keys = ON",
        "recursive_triggers = ON",  # otherwise INSERT OR REPLACE bypasses the audit table's DELETE trigger
        "trusted_schema = OFF",
        "secure_delete = ON",  # erased data is overwritten
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function(escape_formula.__name__, 2, escape_formula, deterministic=True)


def set_statement_timeout(connection: Connection, seconds: float) -> None:
    """Set the timeout in seconds for each call of this transaction."""
    dbapi_connection = connection.connection.dbapi_connection
    assert isinstance(dbapi_connection, TimedConnection)
    dbapi_connection.timeout_seconds = seconds


def _begin_transaction(connection: Connection, *, timeout_seconds: float) -> None:
    options = connection.get_execution_options()
    set_statement_timeout(connection, math.inf if options.get("migrates", False) else timeout_seconds)
    writes = options.get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _roll_back(connection: DBAPIConnection, _record: object, _state: object) -> None:
    """Roll back before the connection returns to the pool.

    After a failed COMMIT the transaction is still open, but SQLAlchemy considers it ended. The connection would keep
    the write lock of the whole file.
    """
    assert isinstance(connection, sqlite3.Connection)
    connection.rollback()

"""The SQLAlchemy engine for an SQLite file: pragmas, and explicit BEGIN and ROLLBACK."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlmodel import create_engine

from app.core.config.settings import Settings
from app.core.spreadsheet import escape_formula

POOL_WAIT_SECONDS = 2


def sqlite_engine(settings: Settings) -> Engine:
    """Return an engine for the SQLite file of DB_URL. A write transaction takes the write lock at its beginning."""
    url = settings.database_url
    _create_private_file(str(url.database))
    guard = FileGuard(str(url.database))
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
        },
    )
    event.listen(engine, "connect", lambda *_: guard.check())  # before SQLite would create another file
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", lambda _: guard.check())
    event.listen(engine, "begin", _begin_transaction)
    event.listen(engine, "reset", _roll_back)
    return engine


class FileGuard:
    """Rejects every transaction once the database's path leads to another file, or to none.

    An open connection goes on with the file that it has opened. After `rm` it would write into a file that is gone when
    the process ends, after `mv` into one under another name. Restart the service to use another file.
    """

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._identity = self._find_identity()

    def check(self) -> None:
        """Raise OperationalError if the file was deleted or replaced since the engine was made."""
        if self._identity is not None and self._find_identity() != self._identity:
            error = sqlite3.OperationalError("the database file was deleted or replaced: put it back or restart")
            raise OperationalError(None, None, error)

    def _find_identity(self) -> tuple[int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


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
    connection.create_function(escape_formula.__name__, 1, escape_formula, deterministic=True)


def _begin_transaction(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _roll_back(connection: DBAPIConnection, _record: object, _state: object) -> None:
    """Roll back before the connection returns to the pool.

    After a failed COMMIT the transaction is still open, but SQLAlchemy considers it ended. The connection would keep
    the write lock of the whole file.
    """
    assert isinstance(connection, sqlite3.Connection)
    connection.rollback()

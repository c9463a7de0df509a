"""Backup and restore of an SQLite file while other processes use it, by SQLite's online backup API.

Copying the file itself would mix states of different moments and miss the write-ahead log.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from app.core.config.settings import Settings

PAGES_PER_STEP = 2048
PagesCallback = Callable[[int, int], None]
"""Called with the number of copied pages and their total."""


class CopyFailed(Exception):
    """The copy failed, or it is damaged. The message is one line."""


def copy_database(source: sqlite3.Connection, target: Path, *, on_pages: PagesCallback) -> None:
    """Copy the snapshot of the source's open transaction into a new file. Raises CopyFailed."""
    try:
        with closing(sqlite3.connect(target)) as connection:
            source.backup(connection, pages=PAGES_PER_STEP, progress=_progress_handler(on_pages))
    except sqlite3.Error as error:
        raise CopyFailed(f"The database was not copied: {error}.") from None


def finalize_copy(file: Path) -> None:
    """Turn a copy into a single file without a write-ahead log, and check its integrity. Raises CopyFailed."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            result = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        result = str(error)
    if result != "ok":
        raise CopyFailed(f"The copy is damaged: {result.splitlines()[-1]}.")


def replace_database(staged: Path, settings: Settings, *, on_pages: PagesCallback) -> None:
    """Replace the content of the file of DB_URL by the staged file, in one transaction.

    Other processes, and a restart after a crash, see either the old or the new content. The file itself is not
    replaced, so no process keeps a deleted file open.

    Raises CopyFailed if other processes lock the file for longer than DB_LOCK_TIMEOUT_SECONDS.
    """
    live = settings.database_file
    assert live is not None
    try:
        with (
            closing(sqlite3.connect(staged)) as source,
            closing(sqlite3.connect(live, timeout=settings.DB_LOCK_TIMEOUT_SECONDS)) as target,
        ):
            target.execute("PRAGMA journal_mode = WAL")
            target.execute("PRAGMA synchronous = FULL")
            source.backup(target, pages=PAGES_PER_STEP, progress=_progress_handler(on_pages))
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # readers may prevent a complete checkpoint
    except sqlite3.Error as error:
        raise CopyFailed(f"{live} was not replaced: {error}.") from None


def _progress_handler(on_pages: PagesCallback) -> Callable[[int, int, int], None]:
    def report_pages(status: int, remaining: int, total: int) -> None:
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:  # otherwise it retries without end
            raise sqlite3.OperationalError("another process has locked it")
        on_pages(total - remaining, total)

    return report_pages

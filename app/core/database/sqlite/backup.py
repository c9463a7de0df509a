"""Copies of an SQLite file, and a copy put in the place of what a file holds, both while others use the file.

SQLite's own backup does it page by page: a copy of the file's bytes would be of no one moment, and would miss the log.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from app.core.config.settings import Settings

PAGES_PER_STEP = 2048
PagesCallback = Callable[[int, int], None]
"""Told how many pages are done, of how many."""


class CopyFailed(Exception):
    """SQLite didn't copy, or what it copied isn't whole; the message is one line."""


def copy_database(source: sqlite3.Connection, target: Path, *, on_pages: PagesCallback) -> None:
    """Copy what the source's open transaction sees into a new file, which is whole without a log beside it. Raises
    CopyFailed, as where the disk is full."""
    try:
        with closing(sqlite3.connect(target)) as connection:
            source.backup(connection, pages=PAGES_PER_STEP, progress=_progress_handler(on_pages))
    except sqlite3.Error as error:
        raise CopyFailed(f"The database wasn't copied: {error}.") from None


def finalize_copy(file: Path) -> None:
    """Let a copy be one file that says nothing against itself. Raises CopyFailed."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            result = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        result = str(error)
    if result != "ok":
        raise CopyFailed(f"The copy isn't whole: {result.splitlines()[-1]}.")


def replace_database(staged: Path, settings: Settings, *, on_pages: PagesCallback) -> None:
    """Let the file of DB_URL hold what the staged one does: in one transaction, so who has it open sees the one or the
    other, and after a crash it is the one or the other. Nobody is left behind on a file that has no name any more.

    Raises CopyFailed where others have it locked for longer than DB_LOCK_TIMEOUT_SECONDS.
    """
    live = str(settings.database_url.database)
    try:
        with (
            closing(sqlite3.connect(staged)) as source,
            closing(sqlite3.connect(live, timeout=settings.DB_LOCK_TIMEOUT_SECONDS)) as target,
        ):
            target.execute("PRAGMA journal_mode = WAL")
            target.execute("PRAGMA synchronous = FULL")
            source.backup(target, pages=PAGES_PER_STEP, progress=_progress_handler(on_pages))
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or as far as readers let it
    except sqlite3.Error as error:
        raise CopyFailed(f"{live} was not replaced: {error}.") from None


def _progress_handler(on_pages: PagesCallback) -> Callable[[int, int, int], None]:
    def report_pages(status: int, remaining: int, total: int) -> None:
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:  # else it would try for ever
            raise sqlite3.OperationalError("others have it locked")
        on_pages(total - remaining, total)

    return report_pages

"""Copies of an SQLite file, and a copy put in the place of what a file holds, both while others use the file.

SQLite's own backup does it page by page: a copy of the file's bytes would be of no one moment, and would miss the log.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from app.core.config.settings import Settings

PAGES_AT_ONCE = 2048
OnPages = Callable[[int, int], None]
"""Told how many pages are done, of how many."""


class NotCopied(Exception):
    """SQLite didn't copy, or what it copied isn't whole; the message is one line."""


def copy(source: sqlite3.Connection, target: Path, *, on_pages: OnPages) -> None:
    """Copy what the source's open transaction sees into a new file, which is whole without a log beside it. Raises
    NotCopied, as where the disk is full."""
    try:
        with closing(sqlite3.connect(target)) as copied:
            source.backup(copied, pages=PAGES_AT_ONCE, progress=_progress(on_pages))
    except sqlite3.Error as error:
        raise NotCopied(f"The database wasn't copied: {error}.") from None


def settle(file: Path) -> None:
    """Let a copy be one file that says nothing against itself. Raises NotCopied."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as copied:
            copied.execute("PRAGMA journal_mode = DELETE")
            found = copied.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise NotCopied(f"The copy isn't whole: {found.splitlines()[-1]}.")


def put_in_place(staged: Path, settings: Settings, *, on_pages: OnPages) -> None:
    """Let the file of DB_URL hold what the staged one does: in one transaction, so who has it open sees the one or the
    other, and after a crash it is the one or the other. Nobody is left behind on a file that has no name any more.

    Raises NotCopied where others have it locked for longer than DB_LOCK_TIMEOUT_SECONDS.
    """
    live = str(settings.database_url.database)
    try:
        with (
            closing(sqlite3.connect(staged)) as source,
            closing(sqlite3.connect(live, timeout=settings.DB_LOCK_TIMEOUT_SECONDS)) as target,
        ):
            target.execute("PRAGMA journal_mode = WAL")
            target.execute("PRAGMA synchronous = FULL")
            source.backup(target, pages=PAGES_AT_ONCE, progress=_progress(on_pages))
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or as far as readers let it
    except sqlite3.Error as error:
        raise NotCopied(f"{live} was not replaced: {error}.") from None


def _progress(on_pages: OnPages) -> Callable[[int, int, int], None]:
    def tell(status: int, remaining: int, total: int) -> None:
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:  # else it would try for ever
            raise sqlite3.OperationalError("others have it locked")
        on_pages(total - remaining, total)

    return tell

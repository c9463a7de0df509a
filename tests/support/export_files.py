"""Files that exports are written to while they are read, and what makes them large."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import insert

from app.core.database.session import Database
from app.models.tables import ENTRY
from app.models.users import User
from tests.support.factories import instant

LONG_DESCRIPTION = "x" * 2000
"""The longest description: 2,500 entries with it fit into no buffer."""
THIS_PROCESS = psutil.Process()


def spool_files(process: psutil.Process = THIS_PROCESS) -> dict[str, Path]:
    """The unlinked files that a process has open: an export's, and in ours also some of pytest's."""
    files = {}
    for handle in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if (name := str(handle.readlink())).endswith("(deleted)"):
                files[name] = handle
    return files


def becomes_true(condition: Callable[[], bool], *, seconds: float = 20) -> bool:
    """Ask until it holds, or the deadline has passed. What held once may not hold for long: it is not asked again."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def add_entries(database: Database, user: User, project_id: int, *, count: int, description: str) -> None:
    """Give the person so many entries of no length, in March 2026."""
    at = instant("2026-03-02 08:00")
    entry: dict[str, Any] = {
        "user_id": user.id,
        "project_id": project_id,
        "start_time": at,
        "end_time": at,
        "description": description,
        "time_zone": "UTC",
        "needs_review": False,
        "version": 1,
        "created_at": at,
        "updated_at": at,
    }
    with database.write_transaction() as session:
        session.execute(insert(ENTRY), [entry] * count)

"""Spool files of exports, and the data that makes exports large."""

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
"""The longest allowed description. 2,500 entries with it exceed every buffer."""
THIS_PROCESS = psutil.Process()


def spool_files(process: psutil.Process = THIS_PROCESS) -> dict[str, Path]:
    """Return the unlinked files that a process has open. In the test process these include some of pytest's."""
    files = {}
    for handle in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in the meantime
            if (name := str(handle.readlink())).endswith("(deleted)"):
                files[name] = handle
    return files


def becomes_true(condition: Callable[[], bool], *, seconds: float = 20) -> bool:
    """Poll until the condition holds, and return True, or return False after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def add_entries(database: Database, user: User, project_id: int, *, count: int, description: str) -> None:
    """Create `count` entries with a duration of zero for the user, in March 2026."""
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

"""Backup and restore while users punch (threats F12)."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import select

from app.models.tables import ENTRY
from tests.support.concurrency import Call, exchange, open_connection
from tests.support.databases import SECRET_KEY
from tests.support.export_files import becomes_true
from tests.support.server_process import ROOT, Backend

pytestmark = pytest.mark.slow
WRITERS = 8
RESTORE_AND_DIE = """
import os, signal
from sqlalchemy import Engine, event
from app.cli.application import app
from app.core.database.sqlite import backup as sqlite_backup

def die_half_way(on_pages):
    def kill_at_half(status, remaining, total):
        if remaining < total / 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return kill_at_half

@event.listens_for(Engine, "before_cursor_execute")
def die_when_all_is_there(connection, cursor, statement, *rest):
    if statement == "ANALYZE":
        os.kill(os.getpid(), signal.SIGKILL)

sqlite_backup.PAGES_PER_STEP = 1
sqlite_backup._progress_handler = die_half_way
app()
"""
BACKUP_AND_STOP = """
import os, runpy, signal
from sqlalchemy import Engine, event
from app.core.database.sqlite import backup as sqlite_backup

def stop(*_):
    os.kill(os.getpid(), signal.SIGTERM)

@event.listens_for(Engine, "before_cursor_execute")
def stop_at_the_dump(connection, cursor, statement, *rest):
    if "pg_export_snapshot" in statement:
        stop()

sqlite_backup._progress_handler = lambda on_pages: stop
runpy.run_module("app.cli", run_name="__main__")
"""


@dataclass
class Punches:
    """Writers that punch without a pause, each entry with its own name, and the statuses of the responses."""

    backend: Backend
    headers: list[dict[str, str]]
    project_id: int
    sent: set[str] = field(default_factory=set)
    acknowledged: list[str] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)
    is_over: bool = False

    @contextmanager
    def run_in_background(self) -> Iterator[None]:
        thread = Thread(target=lambda: asyncio.run(self._run_all()))
        thread.start()
        try:
            yield
        finally:
            self.is_over = True
            thread.join()

    def wait_for_more(self) -> bool:
        """Wait until three more punches per writer are acknowledged."""
        target = len(self.acknowledged) + 3 * WRITERS
        return becomes_true(lambda: len(self.acknowledged) >= target)

    async def _run_all(self) -> None:
        await asyncio.gather(*(self._run_writer(number, header) for number, header in enumerate(self.headers)))

    async def _run_writer(self, writer: int, header: dict[str, str]) -> None:
        async with open_connection(self.backend.base_url) as connection:
            for number in count():
                if self.is_over:
                    return
                name = f"{writer}-{number}"
                self.sent.add(name)
                answer = await exchange(self._punch(header, name), *connection)
                if answer.status_code == 200:
                    self.acknowledged.append(name)
                else:
                    self.refusals[answer.status_code] += 1

    def _punch(self, header: dict[str, str], name: str) -> Call:
        body = {"project_id": self.project_id, "description": name}
        return Call("POST", f"{self.backend.base_url}/api/v1/time-entries/clock-in", header, body, {"switch": "true"})


@pytest.fixture
def backend(db_url, tmp_path):
    running_backend = Backend(db_url, tmp_path)
    yield running_backend
    running_backend.stop()


def test_a_backup_under_load_comes_back_under_load(people, database, backend, bearer, run_command):
    """Backup and restore run while the service is running.

    Requests fail for a moment at most. The service continues with the restored database, and loses nothing that it
    acknowledges afterwards. Counts, sums and chains agree, because restore verifies them.
    """
    people.records_events = True
    website = people.project("Website")
    headers = [bearer(people.employee(f"Person {number}")) for number in range(WRITERS)]
    punches = Punches(backend, headers, website.id or 0)

    with punches.run_in_background():
        assert punches.wait_for_more()
        before = set(punches.acknowledged)
        taken = run_command("backup", "nine")
        sent_by_then = set(punches.sent)
        assert punches.wait_for_more()
        between = set(punches.acknowledged) - sent_by_then
        restored = run_command("restore", "nine", "--force")
        sent_by_now = set(punches.sent)
        assert punches.wait_for_more()
    after = set(punches.acknowledged) - sent_by_now

    assert (taken.exit_code, restored.exit_code) == (0, 0), taken.stderr + restored.stderr
    assert set(punches.refusals) <= {503}
    rows = descriptions(database)
    assert before | after <= rows <= punches.sent
    assert between and after and not between & rows
    assert run_command("verify-audit").exit_code == 0
    backend.stop()
    backend.start()


def test_a_restore_that_is_killed_leaves_what_was_there(people, database, run_command, db_url, tmp_path):
    website = people.project("Website")
    people.records_events = True
    people.entry(people.employee("Ana"), website, "2026-03-02 08:00", "2026-03-02 12:00", description="before")
    run_command("backup", "monday")
    people.entry(people.employee("Bob"), website, "2026-03-02 08:00", "2026-03-02 12:00", description="after")

    died = run(RESTORE_AND_DIE, "restore", "monday", "--force", db_url=db_url, folder=tmp_path)

    assert died.returncode == -signal.SIGKILL
    assert descriptions(database) == {"before", "after"}
    assert run_command("verify-audit").exit_code == 0
    assert run_command("restore", "monday", "--force").exit_code == 0
    assert descriptions(database) == {"before"}


def test_a_backup_that_is_stopped_leaves_nothing_behind(database, db_url, tmp_path):
    before = set(tmp_path.iterdir())

    stopped = run(BACKUP_AND_STOP, "backup", "monday", db_url=db_url, folder=tmp_path)

    assert (stopped.returncode, stopped.stderr) == (128 + signal.SIGTERM, b"")
    assert {each for each in tmp_path.iterdir() if not each.name.endswith(("-wal", "-shm"))} == before


def run(script: str, *arguments: str, db_url: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command in its own process, with a script that disturbs it."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"DB_URL": db_url, "SECRET_KEY": SECRET_KEY, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        check=False,
    )


def descriptions(database) -> set[str]:
    with database.read_transaction() as session:
        rows = list(session.scalars(select(ENTRY.c.description)))
    assert len(set(rows)) == len(rows)
    return set(rows)

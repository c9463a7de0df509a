"""A rolling upgrade to the next release under load: migration, then one worker after another (F10)."""

import asyncio
import os
import signal
from collections import Counter
from itertools import count

import httpx
import psutil
import pytest

from tests.support.concurrency import Call, exchange, open_connection
from tests.support.databases import POSTGRESQL
from tests.support.releases import copy_this_release, make_next_release, start_migration
from tests.support.server_process import TLS, Backend

pytestmark = pytest.mark.alone
CLIENTS = 8
SECONDS = 60
EXPAND = """\
op.add_column("time_entry", sa.Column("place", sa.String(40), nullable=True))
op.add_column("project", sa.Column("colour", sa.String(20), nullable=False, server_default="grey"))"""


@pytest.fixture
def release(tmp_path):
    return copy_this_release(tmp_path)


@pytest.fixture
def backend(db_url, tmp_path, release):
    running_backend = Backend(db_url, tmp_path, workers=2, root=release)
    yield running_backend
    running_backend.stop()


@pytest.mark.parametrize("engine", [POSTGRESQL])  # on SQLite only the migration differs
def test_the_next_release_is_migrated_and_rolled_without_a_request_that_fails(people, db_url, release, backend, bearer):
    website = people.project("Website")
    staff = [bearer(people.employee(f"Person {number}")) for number in range(CLIENTS)]
    answers = asyncio.run(_punch_during(backend, staff, website.id, lambda: _upgrade(backend, release, db_url)))

    assert set(answers) == {200}


async def _punch_during(backend, headers, project_id, work):
    """Punch while `work` runs in a thread, and return the statuses.

    A connection that the server closes between two requests is opened again. Any other missing response raises.
    """
    statuses = Counter()
    is_done = asyncio.Event()

    async def punch(number, header):
        pause = 0.02 if number < 2 else 0.1
        punches = count()
        while not is_done.is_set():
            async with open_connection(backend.base_url) as (reader, writer):
                while not reader.at_eof() and not is_done.is_set():
                    answer = await exchange(_punch(backend, header, project_id, next(punches)), reader, writer)
                    statuses[answer.status_code] += 1
                    if answer.closes:
                        break
                    await asyncio.sleep(pause)

    async with asyncio.timeout(2 * SECONDS), asyncio.TaskGroup() as group:
        for number, header in enumerate(headers):
            group.create_task(punch(number, header))
        await asyncio.to_thread(work)
        is_done.set()
    return statuses


def _upgrade(backend, release, db_url):
    """Upgrade as an operator does: files, migration, worker restart, and one more worker restart."""
    before = _workers(backend)
    make_next_release(release, next_expand=EXPAND)
    migration = start_migration(release, db_url)
    output = migration.communicate(timeout=SECONDS)
    assert migration.returncode == 0, output
    for _ in range(2):
        _restart_workers(backend)
    assert not before & _workers(backend)
    assert {_version(backend) for _ in range(20)} == {"next"}


def _restart_workers(backend):
    before = _workers(backend)
    os.kill(backend.pid, signal.SIGHUP)
    ended = psutil.wait_procs([psutil.Process(pid) for pid in before], timeout=SECONDS)[0]
    assert len(ended) == len(before) == len(_workers(backend)), backend.log.read_text()


def _workers(backend):
    children = psutil.Process(backend.pid).children()
    return {child.pid for child in children if "spawn_main" in " ".join(child.cmdline())}


def _version(backend):
    return httpx.get(f"{backend.base_url}/health/live", verify=TLS).json()["version"]


def _punch(backend, header, project_id, number):
    body = {"project_id": project_id, "description": str(number)}
    return Call("POST", f"{backend.base_url}/api/v1/time-entries/clock-in", header, body, {"switch": "true"})

"""A stop under load: requests in flight get their response, and a download is completed (threats F11)."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import pytest

from tests.support.concurrency import open_connection
from tests.support.export_files import LONG_DESCRIPTION, add_entries
from tests.support.server_process import START_SECONDS

pytestmark = pytest.mark.slow
CLIENTS = 20
MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


def message(path, header):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {header['Authorization']}\r\n\r\n".encode()


async def _send_until_last(url, request, answer_received):
    """Repeat the request on one connection until the server closes it. Returns the statuses of the responses."""
    statuses, is_last = set(), False
    async with open_connection(url) as (reader, writer):
        while not is_last:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            (length,) = (line.split()[1] for line in head.splitlines() if line.startswith(b"content-length:"))
            await reader.readexactly(int(length))
            answer_received.release()
            statuses.add(head.split()[1])
            is_last = b"\r\nconnection: close\r\n" in head
            await asyncio.sleep(0.02)
        assert await reader.read() == b""
    return statuses


@asynccontextmanager
async def _open_half_read_export(url, request):
    """Request an export and read only its head. Returns a function that reads the rest."""
    async with open_connection(url) as (reader, writer):
        writer.write(request)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        yield reader.read


async def _stop_under_load(backend, me, export):
    answer_received = asyncio.Semaphore(0)
    async with asyncio.timeout(START_SECONDS), _open_half_read_export(backend.base_url, export) as read_rest:
        clients = [asyncio.create_task(_send_until_last(backend.base_url, me, answer_received)) for _ in range(CLIENTS)]
        for _ in range(3 * CLIENTS):
            await answer_received.acquire()
        os.killpg(backend.pid, signal.SIGTERM)  # as systemd does: the signal goes to all processes
        answered = await asyncio.gather(*clients)
        os.killpg(backend.pid, signal.SIGTERM)  # a second signal from an impatient operator
        return answered, await read_rest()


def test_a_stop_under_load_answers_what_was_asked_and_lets_files_be_read(people, database, own_workers, bearer):
    mia, website = people.manager("Mia"), people.project("Website")
    add_entries(database, people.employee("Ana", manager=mia), website.id, count=2500, description=LONG_DESCRIPTION)
    me = message("/api/v1/auth/me", bearer(mia))
    export = message(f"/api/v1/reports/export/csv?{urlencode(MARCH)}", bearer(mia))

    answered, file = asyncio.run(_stop_under_load(own_workers, me, export))

    assert answered == [{b"200"}] * CLIENTS
    assert file.count(LONG_DESCRIPTION.encode()) >= 2400, "descriptions across chunk boundaries are not counted"
    assert file.endswith(b"\r\n0\r\n\r\n")
    assert own_workers.stop() == 0
    assert "Traceback" not in own_workers.log.read_text()

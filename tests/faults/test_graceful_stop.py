"""A stop under load: what was asked is answered, a file that is being read is read to its end (threats F11)."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from tests.support.concurrency import opened
from tests.support.export_files import LONG, add_entries
from tests.support.server_process import START_SECONDS

CLIENTS = 20
MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


def message(path, header):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {header['Authorization']}\r\n\r\n".encode()


async def _ask_on(url, request, asked):
    """Ask again and again on one connection until an answer says that it was the last: what they all said."""
    statuses, is_last = set(), False
    async with opened(url) as (reader, writer):
        while not is_last:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            (length,) = (line.split()[1] for line in head.splitlines() if line.startswith(b"content-length:"))
            await reader.readexactly(int(length))
            asked.release()
            statuses.add(head.split()[1])
            is_last = b"\r\nconnection: close\r\n" in head
            await asyncio.sleep(0.02)
        assert await reader.read() == b""
    return statuses


@asynccontextmanager
async def _half_read(url, request):
    """An export of which nothing but the head was read; gives a function that reads the rest."""
    async with opened(url) as (reader, writer):
        writer.write(request)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        yield reader.read


async def _stop_under_load(backend, me, export):
    asked = asyncio.Semaphore(0)
    async with asyncio.timeout(START_SECONDS), _half_read(backend.base_url, export) as read_rest:
        clients = [asyncio.create_task(_ask_on(backend.base_url, me, asked)) for _ in range(CLIENTS)]
        for _ in range(3 * CLIENTS):
            await asked.acquire()
        os.killpg(backend.pid, signal.SIGTERM)  # as systemd does: all its processes at once
        answered = await asyncio.gather(*clients)
        os.killpg(backend.pid, signal.SIGTERM)  # somebody is impatient
        return answered, await read_rest()


def test_a_stop_under_load_answers_what_was_asked_and_lets_files_be_read(people, database, own_workers, bearer):
    mia, website = people.manager("Mia"), people.project("Website")
    add_entries(database, people.employee("Ana", manager=mia), website.id, count=2500, description=LONG)
    me = message("/api/v1/auth/me", bearer(mia))
    export = message(f"/api/v1/reports/export/csv?{urlencode(MARCH)}", bearer(mia))

    answered, file = asyncio.run(_stop_under_load(own_workers, me, export))

    assert answered == [{b"200"}] * CLIENTS
    assert file.count(LONG.encode()) >= 2400, "chunks end within some"
    assert file.endswith(b"\r\n0\r\n\r\n")
    assert own_workers.stop() == 0
    assert "Traceback" not in own_workers.log.read_text()

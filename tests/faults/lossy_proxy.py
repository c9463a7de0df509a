"""A proxy that forwards every request to the service, but drops every third response."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.concurrency import open_connection

LOSE_EVERY = 3
SHUTDOWN_TIMEOUT_SECONDS = 10
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nidempotency-key: *([!-~]+)", re.IGNORECASE)
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LossyProxy:
    """The proxy. `lost` holds the bodies of dropped responses by Idempotency-Key."""

    def __init__(self, service_url: str) -> None:
        self._service_url = service_url
        self.url = ""
        self.answer_count = 0
        self.lost: dict[str, list[bytes]] = defaultdict(list)
        self.clients: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept a client connection."""
        self.clients.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the requests of one client until it disconnects or a response is dropped."""
        try:
            async with open_connection(self._service_url) as service:
                while await self._forward((reader, writer), service):
                    pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client or the service disconnected
        finally:
            writer.close()

    async def _forward(self, client: Stream, service: Stream) -> bool:
        request = await _read_message(client[0])
        service[1].write(b"".join(request))
        answer = await _read_message(service[0])
        self.answer_count += 1
        if self.answer_count % LOSE_EVERY == 0:
            key = _KEY.search(request[0])
            self.lost[key[1].decode() if key else ""].append(answer[1])
            return False
        client[1].write(b"".join(answer))
        return True


@asynccontextmanager
async def run_lossy_proxy(service_url: str) -> AsyncIterator[LossyProxy]:
    """Run a proxy in front of the service on a free port."""
    proxy = LossyProxy(service_url)
    async with await asyncio.start_server(proxy.accept, "127.0.0.1", 0) as listening:
        proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            if proxy.clients:
                await asyncio.wait(proxy.clients, timeout=SHUTDOWN_TIMEOUT_SECONDS)


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read the head and body of the next request or response."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head, await reader.readexactly(int(length[1]) if length else 0)

"""Many concurrent clients, each on its own connection and with little CPU per request.

The clients share the machine with the service under test. A full HTTP client would use more CPU for a punch than the
service does.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

TIMEOUT_SECONDS = 60
Exchange = Callable[["Call", asyncio.StreamReader, asyncio.StreamWriter], Awaitable["Answer"]]


@dataclass(frozen=True)
class Call:
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    params: dict[str, Any] = field(default_factory=dict)
    form: str | None = None

    def message(self) -> bytes:
        """Return the request as bytes."""
        address = urlsplit(self.url)
        target = f"{address.path}?{urlencode(self.params)}" if self.params else address.path
        body = self._content()
        headers = self.headers | {
            "Host": address.netloc or "localhost",
            "Content-Type": "application/json" if self.form is None else "application/x-www-form-urlencoded",
            "Content-Length": str(len(body)),
        }
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def _content(self) -> bytes:
        if self.form is not None:
            return self.form.encode()
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Answer:
    status_code: int
    content: bytes
    closes: bool = False
    """True if the server closes the connection after this response."""

    def json(self) -> Any:
        return json.loads(self.content)


def send_simultaneously(calls: Sequence[Call], *, retry_busy: bool = False) -> list[Answer]:
    """Send all calls at the same moment and return the responses in the order of the calls."""
    return [answers[0] for answers in send_in_parallel([[call] for call in calls], retry_busy=retry_busy)]


def send_in_parallel(clients: Sequence[Sequence[Call]], *, retry_busy: bool = False) -> list[list[Answer]]:
    """Run all clients in parallel. Each client sends its calls one after another.

    A slow machine serves a large peak in more than the two seconds that a request waits for a permit. With
    `retry_busy`, a client sends such a rejected call again, as Retry-After tells it to.
    """
    return asyncio.run(_send_all(clients, exchange_until_served if retry_busy else exchange))


async def _send_all(clients: Sequence[Sequence[Call]], exchange_one: Exchange) -> list[list[Answer]]:
    start_event = asyncio.Event()
    tasks = [asyncio.create_task(_run_client(calls, start_event, exchange_one)) for calls in clients]
    start_event.set()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return list(await asyncio.gather(*tasks))


async def _run_client(calls: Sequence[Call], start_event: asyncio.Event, exchange_one: Exchange) -> list[Answer]:
    await start_event.wait()
    async with open_connection(calls[0].url) as connection:
        return [await exchange_one(call, *connection) for call in calls]


@asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection that is reused for several calls."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    """Send one call and read its response."""
    writer.write(call.message())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(head[0].split(" ")[1]), content, headers.get("connection") == "close")


async def exchange_until_served(call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    """Send one call, and again while the response is 503 service_busy. The server's queue is the wait in between."""
    while True:
        answer = await exchange(call, reader, writer)
        if answer.status_code != 503 or answer.json()["code"] != "service_busy":
            return answer

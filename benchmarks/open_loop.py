"""An open loop: requests are sent when they are due, whether or not those before them are answered.

So people come to work: nobody stays at home because the queue is long. What a request takes counts from when it was
due, so a service that falls behind is seen to.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvloop

from benchmarks.load import LOST, Answer, Reader, Taken

CLOSING_SECONDS = 60
"""How long the last answers are waited for."""


FRESH_SECONDS = 4


class Due(NamedTuple):
    """A request, and when it is to be sent, in seconds since the start."""

    at: float
    label: str
    message: bytes


def replay(base_url: str, requests: Iterable[Due], connections: int) -> Taken:
    """Send the requests, which ascend in time, on at most so many connections at once, which are made when they are
    needed and left when they have idled; a request that finds none free waits for one."""
    return uvloop.run(_replay(base_url, requests, connections))


async def _replay(base_url: str, requests: Iterable[Due], connections: int) -> Taken:
    address = urlsplit(base_url)
    switchboard = _Switchboard(str(address.hostname), address.port or 80, connections)
    began = time.perf_counter()
    for due in requests:
        if (early := began + due.at - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        switchboard.send(due, began + due.at)
    async with asyncio.timeout(CLOSING_SECONDS):
        await switchboard.all_answered()
    return switchboard.taken


class _Switchboard:
    """Which connections are free, which requests wait, and what was answered."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self.taken = Taken()
        self.lines: set[_Line] = set()
        self._host, self._port, self._connections = host, port, connections
        self._free: list[_Line] = []
        self._dialling: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[Due, float]] = deque()
        self._open = 0
        self._is_quiet = asyncio.Event()

    def send(self, due: Due, due_at: float) -> None:
        self._open += 1
        while self._free:
            if (line := self._free.pop()).is_fresh:
                line.send(due, due_at)
                return
            line.close()
        self._waiting.append((due, due_at))
        if len(self.lines) + len(self._dialling) < self._connections:
            dialling = asyncio.create_task(self._dial())
            self._dialling.add(dialling)
            dialling.add_done_callback(self._dialling.discard)

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: _Line(self), self._host, self._port)
        self.lines.add(line)
        self._next(line)

    def _next(self, line: "_Line") -> None:
        if self._waiting:
            line.send(*self._waiting.popleft())
        else:
            line.idles_since = time.perf_counter()
            self._free.append(line)

    def lost(self, line: "_Line") -> None:
        self.lines.discard(line)
        if line in self._free:
            self._free.remove(line)

    def answered(self, label: str, answer: Answer, line: "_Line | None") -> None:
        """Note an answer, and give the connection, where it is still there, the next request."""
        self.taken.add(label, answer)
        self._open -= 1
        self._is_quiet.set()
        if line is not None:
            self._next(line)

    async def all_answered(self) -> None:
        while self._open:
            self._is_quiet.clear()
            await self._is_quiet.wait()


class _Line(asyncio.Protocol):
    """A connection with one request on it at a time."""

    def __init__(self, switchboard: _Switchboard) -> None:
        self._switchboard = switchboard
        self._transport: Any = None
        self._label: str | None = None
        self.idles_since = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether the service, which closes what idles for 5 s, keeps it for long enough."""
        return time.perf_counter() - self.idles_since < FRESH_SECONDS

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, due: Due, due_at: float) -> None:
        self._label, self._due_at, self._reader = due.label, due_at, Reader(time.perf_counter(), keep=False)
        self._transport.write(due.message)

    def data_received(self, data: bytes) -> None:
        if self._label is not None and self._reader.feed(data):
            label, self._label, answer = self._label, None, self._reader.answer
            answer.seconds = time.perf_counter() - self._due_at
            self._switchboard.answered(label, answer, self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._switchboard.lost(self)
        if self._label is not None:
            self._switchboard.answered(self._label, Answer(status=LOST), None)

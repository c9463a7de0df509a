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


class Due(NamedTuple):
    """A request, and when it is to be sent, in seconds since the start."""

    at: float
    label: str
    message: bytes


def replay(base_url: str, requests: Iterable[Due], connections: int) -> Taken:
    """Send the requests, which ascend in time, on so many connections; one that finds none free waits for it."""
    return uvloop.run(_replay(base_url, requests, connections))


async def _replay(base_url: str, requests: Iterable[Due], connections: int) -> Taken:
    address, switchboard = urlsplit(base_url), _Switchboard()
    for _ in range(connections):
        await asyncio.get_running_loop().create_connection(lambda: _Line(switchboard), address.hostname, address.port)
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

    def __init__(self) -> None:
        self.taken = Taken()
        self.free: list[_Line] = []
        self._waiting: deque[tuple[Due, float]] = deque()
        self._open = 0
        self._is_quiet = asyncio.Event()

    def send(self, due: Due, due_at: float) -> None:
        self._open += 1
        if self.free:
            self.free.pop().send(due, due_at)
        else:
            self._waiting.append((due, due_at))

    def answered(self, label: str, answer: Answer, line: "_Line | None") -> None:
        """Note an answer, and give the connection, where it is still there, the next request."""
        self.taken.add(label, answer)
        self._open -= 1
        self._is_quiet.set()
        if line is None:
            return
        if self._waiting:
            line.send(*self._waiting.popleft())
        else:
            self.free.append(line)

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

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._switchboard.free.append(self)

    def send(self, due: Due, due_at: float) -> None:
        self._label, self._due_at, self._reader = due.label, due_at, Reader(time.perf_counter(), keep=False)
        self._transport.write(due.message)

    def data_received(self, data: bytes) -> None:
        if self._label is not None and self._reader.feed(data):
            label, self._label, answer = self._label, None, self._reader.answer
            answer.seconds = time.perf_counter() - self._due_at
            self._switchboard.answered(label, answer, self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._switchboard.free:
            self._switchboard.free.remove(self)
        if self._label is not None:
            self._switchboard.answered(self._label, Answer(status=LOST), None)

"""Load generator: one connection per client, in a closed loop, with little CPU time per request.

The clients share the machine with the measured service. So requests are prepared bytes, and of a response only the
status and the end are read. Everything runs in callbacks of one uvloop, without a task or stream per client.

A client runs a script: a generator that yields requests and receives the response to each.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import uvloop

ANSWER_TIMEOUT_SECONDS = 1800
"""Timeout of a response. The slowest export takes several minutes."""
CONNECTION_LOST = 0


@dataclass(slots=True)
class Request:
    message: bytes
    label: str = ""
    """Label under which the request is counted; empty for requests that are not counted."""
    may_end: bool = True
    """False if the client must not stop before this request, such as between clock-in and clock-out."""
    keep_body: bool = False
    """True if the script reads the body."""
    pause_seconds: float = 0
    """Pause of the client before this request."""


@dataclass(slots=True)
class Answer:
    status: int = 0
    body: bytes = b""
    size: int = 0
    lines: int = 0
    first_byte_seconds: float = 0.0
    """Seconds from the request to the first byte of the response body."""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


Script = Generator[Request, Answer, None]


@dataclass
class Measurements:
    """Results of all clients: durations by label, failures by status, and requests per second by label."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, Counter[int]] = field(default_factory=dict)
    rates: Counter[str] = field(default_factory=Counter)

    def add(self, label: str, answer: Answer) -> None:
        if answer.is_good:
            self.seconds.setdefault(label, []).append(answer.seconds)
        else:
            self.failures.setdefault(label, Counter())[answer.status] += 1

    @property
    def requests(self) -> int:
        """The number of requests that succeeded."""
        return sum(map(len, self.seconds.values()))

    @property
    def failed(self) -> Counter[int]:
        return sum(self.failures.values(), Counter())


def p50(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return median(seconds) * 1000 if seconds else float("nan")


def p99(seconds: Sequence[float]) -> float:
    """Return the 99th percentile in milliseconds, or the maximum of fewer than a hundred values."""
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000 if seconds else float("nan")


def run_clients(base_url: str, scripts: Sequence[Script], seconds: float) -> Measurements:
    """Run the clients for some seconds. Each client finishes what it started."""
    return uvloop.run(_run_clients(base_url, scripts, seconds))


def send_once(base_url: str, message: bytes) -> Answer:
    """Send a single request."""
    answers: list[Answer] = []

    def script() -> Script:
        answers.append((yield Request(message, "once")))

    run_clients(base_url, [script()], ANSWER_TIMEOUT_SECONDS)
    return answers[0]


async def _run_clients(base_url: str, scripts: Sequence[Script], seconds: float) -> Measurements:
    loop, address, measurements = asyncio.get_running_loop(), urlsplit(base_url), Measurements()
    clients = [_Client(script, measurements, loop.create_future()) for script in scripts]
    for client in clients:
        await loop.create_connection(lambda client=client: client, address.hostname, address.port)
    ends_at = time.perf_counter() + seconds
    for client in clients:
        client.start(ends_at)
    async with asyncio.timeout(seconds + ANSWER_TIMEOUT_SECONDS):
        await asyncio.gather(*(client.done for client in clients))
    return measurements


class _Client(asyncio.Protocol):
    """A connection and the script that it runs."""

    def __init__(self, script: Script, measurements: Measurements, done: asyncio.Future[None]) -> None:
        self._script, self._measurements, self.done = script, measurements, done
        self._successes: Counter[str] = Counter()
        self._transport: Any = None
        self._request = Request(b"")
        self._started_at = self._finished = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def start(self, ends_at: float) -> None:
        """Send the first request when all clients are connected. No request starts after `ends_at`."""
        self._ends_at = ends_at
        self._started_at = self._finished = time.perf_counter()
        self._send(next(self._script, None))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection closed by the service as a failure without a status, and stop this client."""
        if self.done.done():
            return
        if exc is not None and not isinstance(exc, OSError):
            self.done.set_exception(exc)  # an error in a script
        else:
            self._measurements.add(self._request.label, Answer(status=CONNECTION_LOST))
            self._stop()

    def data_received(self, data: bytes) -> None:
        if self._reader.feed(data):
            self._handle_answer(self._reader.answer)

    def _send(self, request: Request | None) -> None:
        if request is None or (request.may_end and time.perf_counter() >= self._ends_at):
            self._stop()
        elif request.pause_seconds:
            asyncio.get_running_loop().call_later(request.pause_seconds, self._write, request)
        else:
            self._write(request)

    def _write(self, request: Request) -> None:
        self._sent = time.perf_counter()
        self._request, self._reader = request, Reader(self._sent, keep_body=request.keep_body)
        self._transport.write(request.message)

    def _handle_answer(self, answer: Answer) -> None:
        self._finished = time.perf_counter()
        answer.seconds = self._finished - self._sent
        if self._request.label:
            self._measurements.add(self._request.label, answer)
            self._successes[self._request.label] += answer.is_good
        try:
            self._send(self._script.send(answer))
        except StopIteration:
            self._stop()

    def _stop(self) -> None:
        """Add this client's rates over its own running time, because its last response may come long after the end."""
        duration = max(self._finished - self._started_at, 1e-9)
        for label, count in self._successes.items():
            self._measurements.rates[label] += count / duration  # type: ignore[assignment]
        self.done.set_result(None)
        self._transport.close()


class Reader:
    """Incremental parser of one response: its status, and the end of its body."""

    def __init__(self, sent: float, *, keep_body: bool) -> None:
        self.answer = Answer()
        self._sent, self._keep_body = sent, keep_body
        self._buffer, self._in_body, self._is_chunked = b"", False, False
        self._missing = 0

    def feed(self, data: bytes) -> bool:
        """Process received bytes. Returns True when the response is complete."""
        if not self._in_body:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._read_head(self._buffer[:end].lower())
            data, self._buffer = self._buffer[end + 4 :], b""
        if data and not self.answer.first_byte_seconds:
            self.answer.first_byte_seconds = time.perf_counter() - self._sent
        if self._is_chunked:
            return self._feed_chunks(data)
        self._take(data)
        self._missing -= len(data)
        return self._missing <= 0

    def _read_head(self, head: bytes) -> None:
        self._in_body = True
        self.answer.status = int(head[9:12])
        self._is_chunked = b"transfer-encoding: chunked" in head
        at = head.find(b"content-length:")
        if at >= 0:
            self._missing = int(head[at + 15 :].split(b"\r\n", 1)[0])

    def _feed_chunks(self, data: bytes) -> bool:
        """Process chunks: size in hex, CRLF, data, CRLF. The last chunk is empty. `_missing` includes the CRLF."""
        data, self._buffer = self._buffer + data, b""
        at = 0
        while at < len(data):
            if self._missing:
                piece = data[at : at + self._missing]
                self._missing -= len(piece)
                at += len(piece)
                self._take(piece if self._missing > 1 else piece[: len(piece) - 2 + self._missing])
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._buffer = data[at:]
                return False
            size, at = int(data[at:end], 16), end + 2
            if size == 0:
                return True
            self._missing = size + 2
        return False

    def _take(self, data: bytes) -> None:
        self.answer.size += len(data)
        self.answer.lines += data.count(b"\n")
        if self._keep_body:
            self.answer.body += data

"""Large responses wait for their clients in files, because a client that never reads would keep them in memory."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from typing import IO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.http.problems import problem_response
from app.core.database.session import ServiceBusy
from app.core.keyed_semaphores import KeyedSemaphores
from app.core.server.ip_addresses import rate_limit_key

MAX_BYTES_IN_MEMORY = 64 * 1024
"""Size up to which a response is handed to the connection as a whole, whose buffer has the same size."""
MAX_UNREAD = 16
"""Number of larger responses of one user that a worker process keeps until they are read."""


class LargeResponseMiddleware:
    """Move a complete response over MAX_BYTES_IN_MEMORY to an unlinked file, and send that as the client reads.

    It is sent after the application has returned, which then holds no other copy. Each user, or network without a
    user, has MAX_UNREAD of these files, and a further response becomes 503. Only the response to a committed write is
    always sent. It stays in memory if there are too many files, and so does each response if the disk is full.

    After `timeout_seconds` the connection is closed, so that a slow client does not keep the file forever. Responses
    that are streamed pass through, because they are not in memory.
    """

    def __init__(self, app: ASGIApp, *, timeout_seconds: float) -> None:
        self.app = app
        self._timeout_seconds = timeout_seconds
        self._unread = KeyedSemaphores(MAX_UNREAD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head: Message | None = None  # of a large response, until its body is complete
        read: _Read | None = None

        async def send_or_keep(message: Message) -> None:
            nonlocal head, read
            if message["type"] == "http.response.start":  # the second one, if the first response failed
                head = message if _length(message) > MAX_BYTES_IN_MEMORY else None
                if head is not None:
                    return
            elif head is not None and not message.get("more_body"):
                read = await self._keep(scope, head, message["body"], cleanup)
                return
            elif head is not None:  # a file that the application reads in chunks
                await send(head)
                head = None
            await send(message)

        with ExitStack() as cleanup:
            await self.app(scope, receive, send_or_keep)
            if head is None:
                return
            if read is None:
                detail = "Your earlier large responses are still being sent. Read them, then retry."
                await problem_response(ServiceBusy(detail), scope)(scope, receive, send)
                return
            async with asyncio.timeout(self._timeout_seconds):
                await _send_chunks(head, read, send)

    async def _keep(self, scope: Scope, head: Message, body: bytes, cleanup: ExitStack) -> "_Read | None":
        """Move the body to a file, and return how to read it, or None if the response must not be sent."""
        permit = self._unread[_key_of(scope)]
        if permit.locked():
            is_committed = scope["method"] not in {"GET", "HEAD"} and head["status"] < 400
            return _reader_of_memory(body) if is_committed else None
        await permit.acquire()
        cleanup.callback(permit.release)
        try:
            file = await asyncio.to_thread(_write_file, body)
        except OSError:
            return _reader_of_memory(body)
        cleanup.callback(file.close)
        return lambda offset: os.pread(file.fileno(), MAX_BYTES_IN_MEMORY, offset)


_Read = Callable[[int], bytes]
"""Returns the next bytes of a response at an offset."""


def _reader_of_memory(body: bytes) -> _Read:
    return lambda offset: body[offset : offset + MAX_BYTES_IN_MEMORY]


async def _send_chunks(head: Message, read: _Read, send: Send) -> None:
    await send(head)
    length, offset = _length(head), 0
    while offset < length:
        chunk = read(offset)
        offset += len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": offset < length})


def _write_file(body: bytes) -> IO[bytes]:
    """Write the body to an unlinked temporary file. Raises OSError if the disk is full."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed when the response was sent
    try:
        remaining = memoryview(body)
        while remaining:
            remaining = remaining[file.write(remaining) or 0 :]
    except OSError:
        file.close()
        raise
    return file


def _length(head: Message) -> int:
    return next((int(value) for name, value in head["headers"] if name == b"content-length"), 0)


def _key_of(scope: Scope) -> Hashable:
    """Return the key by which the caller's requests are counted, or the client's network without a credential."""
    network = rate_limit_key((scope.get("client") or ("", 0))[0])
    key: Hashable = scope["state"].get("limit_key", network)
    return key

"""A temporary file between the producer of a response and its client.

The producer writes the file in a thread and then releases its database connection. The response streams the file. A
slow client therefore holds a file handle, but no connection, thread or memory.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any

READ_BYTES = 256 * 1024
WRITE_BYTES = 64 * 1024
Write = Callable[[bytes], object]


def write_chunks(chunks: Iterable[bytes], write: Write) -> None:
    """Write small chunks in pieces of WRITE_BYTES or more, because each `write` is a system call."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        if len(buffer) >= WRITE_BYTES:
            write(bytes(buffer))
            buffer.clear()
    write(bytes(buffer))


def json_list(items: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of a JSON list whose items are JSON already."""
    separator = b"["
    for item in items:
        yield separator
        yield item
        separator = b","
    yield b"]" if separator == b"," else b"[]"


class ProducerFailed(Exception):
    """The producer failed after the response had begun. The connection is closed so that the client sees an error."""


class ReaderGone(Exception):
    """The client disconnected, so the producer must stop. This is not an error."""


class Spool:
    """A file with one writer, in a thread, and one reader, in the event loop.

    Each has its own handle, and the file is deleted when both are closed.
    """

    def __init__(self, produce: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Create the file and start the producer, whose thread calls `write`. Raises OSError if the disk is full."""
        self._writer = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed when the producer is done
        self._reader = os.fdopen(os.dup(self._writer.fileno()), "rb", buffering=0)
        self._loop = asyncio.get_running_loop()
        self._has_grown = asyncio.Event()
        self._size = 0
        self.producer = asyncio.create_task(produce())
        self.producer.add_done_callback(self._close_writer)

    def write(self, chunk: bytes) -> None:
        """Append a chunk, in the producer's thread. Raises ReaderGone, and OSError if the disk is full."""
        if self._reader.closed:
            raise ReaderGone
        remaining = memoryview(chunk)
        while remaining:
            remaining = remaining[self._writer.write(remaining) or 0 :]
        self._size += len(chunk)
        self._loop.call_soon_threadsafe(self._has_grown.set)

    async def wait_for_data(self, offset: int = 0) -> bool:
        """Wait for data at the offset. Return False if the producer ended before it."""
        while offset == self._size and not self.producer.done():
            self._has_grown.clear()
            await self._has_grown.wait()
        return offset < self._size

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the file's bytes as they are written. Raises ProducerFailed at the end if the file is incomplete."""
        offset = 0
        while await self.wait_for_data(offset):
            chunk = os.pread(self._reader.fileno(), min(READ_BYTES, self._size - offset), offset)
            offset += len(chunk)
            yield chunk
        if self.producer.cancelled() or self.producer.exception() is not None:
            raise ProducerFailed("The producer failed, so the response is incomplete.")

    def close_reader(self) -> None:
        """Stop reading. The producer raises ReaderGone at its next chunk, and the file is deleted."""
        self._reader.close()

    def _close_writer(self, _: object) -> None:
        self._writer.close()
        self._has_grown.set()

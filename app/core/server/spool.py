"""An answer that is written at the producer's speed and read at the client's.

The producer fills an unlinked temporary file from a thread, and is done with the database when it is; the answer
follows the file. So a slow client holds a file handle, but no connection, no thread and no memory.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

READ_BYTES = 256 * 1024
Write = Callable[[bytes], object]


class ProducerFailed(Exception):
    """The producer failed after the answer had begun: the connection breaks, the body never ends cleanly."""


class ReaderGone(Exception):
    """Nobody reads what the producer writes any more. It ends: nothing is wrong."""


class Spool:
    """One writer, in a thread, and one reader, in the event loop. Each has a handle; the last closed ends the file."""

    def __init__(self, produce: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make the file and start the producer, whose thread calls `write`. Raises OSError where there is no room."""
        self._writer = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed when the producer is done
        self._reader = os.fdopen(os.dup(self._writer.fileno()), "rb", buffering=0)
        self._loop = asyncio.get_running_loop()
        self._has_grown = asyncio.Event()
        self._size = 0
        self.producer = asyncio.create_task(produce())
        self.producer.add_done_callback(self._close_writer)

    def write(self, chunk: bytes) -> None:
        """Append the chunk, in the producer's thread. Raises ReaderGone, and OSError where there is no room."""
        if self._reader.closed:
            raise ReaderGone
        remaining = memoryview(chunk)
        while remaining:
            remaining = remaining[self._writer.write(remaining) or 0 :]
        self._size += len(chunk)
        self._loop.call_soon_threadsafe(self._has_grown.set)

    async def wait_for_data(self, offset: int = 0) -> bool:
        """Wait for bytes at the offset: True when they are there, False when the producer ended without them."""
        while offset == self._size and not self.producer.done():
            self._has_grown.clear()
            await self._has_grown.wait()
        return offset < self._size

    async def stream(self) -> AsyncIterator[bytes]:
        """The bytes in order, as they come. Raises ProducerFailed where they end too early."""
        offset = 0
        while await self.wait_for_data(offset):
            chunk = os.pread(self._reader.fileno(), min(READ_BYTES, self._size - offset), offset)
            offset += len(chunk)
            yield chunk
        if self.producer.cancelled() or self.producer.exception() is not None:
            raise ProducerFailed("The producer failed; the answer is cut off.")

    def close_reader(self) -> None:
        """Read no more: the producer stops at its next chunk, and the file is gone."""
        self._reader.close()

    def _close_writer(self, _: object) -> None:
        self._writer.close()
        self._has_grown.set()

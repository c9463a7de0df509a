"""An answer that is written at the producer's speed and read at the client's.

The producer fills an unlinked temporary file from a thread, and is done with the database when it is; the answer
follows the file. So a slow client holds a file handle, but no connection, no thread and no memory.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

READ_BYTES = 256 * 1024
Write = Callable[[bytes], object]


class ProducerFailed(Exception):
    """The producer failed after the answer had begun: the connection breaks, the body never ends cleanly."""


class NobodyReads(Exception):
    """What a producer writes is read no more. It ends: nothing is wrong."""


class Spool:
    """One writer, in a thread, and one reader, in the event loop. Each closes its handle; the last ends the file."""

    def __init__(self) -> None:
        self._in = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by fill() or fail()
        self._out = os.fdopen(os.dup(self._in.fileno()), "rb", buffering=0)
        self._loop = asyncio.get_running_loop()
        self._grew = asyncio.Event()
        self._size = 0
        self._is_complete = False
        self._has_failed = False

    def fill(self, produce: Callable[[Write], None]) -> None:
        """Run the producer, in its thread; what it writes goes into the file, until nobody reads any more."""
        try:
            with suppress(NobodyReads):
                produce(self._write)
        except BaseException:
            self._has_failed = True
            raise
        finally:
            self._in.close()
            self._is_complete = True
            self._wake_reader()

    def fail(self) -> None:
        """Say that the producer failed, or that none will come."""
        self._in.close()
        self._has_failed = self._is_complete = True
        self._grew.set()

    async def has_begun(self) -> bool:
        """Wait for the first bytes: True when they are there, False when the producer ended without any."""
        while not self._size and not self._is_complete:
            self._grew.clear()
            await self._grew.wait()
        return self._size > 0

    async def follow(self) -> AsyncIterator[bytes]:
        """The bytes in order, as they come. Raises ProducerFailed where they end too early."""
        offset = 0
        while True:
            self._grew.clear()
            is_last_look = self._is_complete
            while offset < self._size:
                chunk = os.pread(self._out.fileno(), min(READ_BYTES, self._size - offset), offset)
                offset += len(chunk)
                yield chunk
            if is_last_look:
                break
            await self._grew.wait()
        if self._has_failed:
            raise ProducerFailed("The producer failed; the answer is cut off.")

    def abandon(self) -> None:
        """Say that nobody reads any more: the producer stops at its next chunk, and the file is gone."""
        self._out.close()

    def _write(self, chunk: bytes) -> None:
        if self._out.closed:
            raise NobodyReads
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._in.write(rest) or 0 :]
        self._size += len(chunk)
        self._wake_reader()

    def _wake_reader(self) -> None:
        self._loop.call_soon_threadsafe(self._grew.set)

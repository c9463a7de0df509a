"""An answer that is written at the producer's speed and read at the client's.

The producer fills an unlinked temporary file from a thread, and is done with the database when it is; the answer
follows the file. So a slow client holds a file handle, but no connection, no thread and no memory.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterable

READ_BYTES = 256 * 1024


class ProducerFailed(Exception):
    """The producer failed after the answer had begun: the connection breaks, the body never ends cleanly."""


class Spool:
    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by its last user, reader or writer
        self._loop = asyncio.get_running_loop()
        self._grew = asyncio.Event()
        self._size = 0
        self._is_complete = False
        self._has_failed = False
        self._is_abandoned = False

    def fill(self, chunks: Iterable[bytes]) -> None:
        """Write the chunks, in the producer's thread, until they end or nobody reads any more."""
        try:
            for chunk in chunks:
                if self._is_abandoned:
                    break
                self._size += self._write(chunk)
                self._wake_reader()
        except BaseException:
            self._has_failed = True
            raise
        finally:
            self._is_complete = True
            self._wake_reader()

    def fail(self) -> None:
        """Say that no producer will come."""
        self._has_failed = self._is_complete = True
        self._grew.set()

    async def first_bytes(self) -> None:
        """Wait until there is something to answer, or nothing will come."""
        while not self._size and not self._is_complete:
            self._grew.clear()
            await self._grew.wait()

    @property
    def is_empty(self) -> bool:
        return self._size == 0

    async def follow(self) -> AsyncIterator[bytes]:
        """The bytes in order, as they come. Raises ProducerFailed where they end too early."""
        offset = 0
        try:
            while True:
                self._grew.clear()
                is_last_look = self._is_complete
                while offset < self._size:
                    chunk = os.pread(self._file.fileno(), min(READ_BYTES, self._size - offset), offset)
                    offset += len(chunk)
                    yield chunk
                if is_last_look:
                    break
                await self._grew.wait()
            if self._has_failed:
                raise ProducerFailed("The producer failed; the answer is cut off.")
        finally:
            self._is_abandoned = True

    def _write(self, chunk: bytes) -> int:
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        return len(chunk)

    def _wake_reader(self) -> None:
        self._loop.call_soon_threadsafe(self._grew.set)

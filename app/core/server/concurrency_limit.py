"""Slots: how many requests may be in the database at once. Who waits holds no thread and no connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from app.core.database.session import DatabaseUnavailable, ServiceBusy
from app.core.observability import metrics

WAIT_SECONDS = 2
_Answer = TypeVar("_Answer")


class Gate:
    """As many slots as connections and threads, so that nobody who has a slot ever waits for either.

    Of those who write, `writers` get in at once; by default all. SQLite has one at a time: the rest wait here and not
    in the engine. On PostgreSQL a slot is left to those who only look: COMMITs that wait for a standby all hang.
    """

    def __init__(
        self, name: str, *, slots: int, writers: int | None = None, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._wait_seconds = wait_seconds
        self._in_use, self._waiting = metrics.SLOTS_IN_USE.labels(name), metrics.WAITING.labels(name)
        metrics.SLOTS.labels(name).inc(slots)
        self._slots = asyncio.Semaphore(slots)
        self._writers = asyncio.Semaphore(writers) if writers else None
        self._waits: set[asyncio.Timeout] = set()
        self._turned_away: set[asyncio.Timeout] = set()
        self._threads = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="request")

    async def run(self, work: Callable[[], _Answer], *, writes: bool) -> _Answer:
        """Run the work in a thread, once a slot is free. Raises ServiceBusy after `wait_seconds` without one, and
        DatabaseUnavailable when work that had one lost the database: who waits behind it need not find out anew."""
        async with self._slot(writes):
            running = asyncio.get_running_loop().run_in_executor(self._threads, work)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                # We are stopping; the thread still holds its connection, so the slot stays taken until it is done.
                await asyncio.wait([running])
                raise
            except OperationalError as error:
                if error.connection_invalidated or _was_never_connected(error):
                    self._turn_away()
                raise

    def _turn_away(self) -> None:
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            if not wait.expired():
                self._turned_away.add(wait)
                wait.reschedule(now)

    @asynccontextmanager
    async def _slot(self, writes: bool) -> AsyncIterator[None]:
        wanted = [self._writers, self._slots] if writes and self._writers is not None else [self._slots]
        held: list[asyncio.Semaphore] = []
        try:
            if any(semaphore.locked() for semaphore in wanted):
                with self._waiting.track_inprogress():
                    await self._wait_for(wanted, held)
            else:
                await self._take(wanted, held)
            with self._in_use.track_inprogress():
                yield
        finally:
            for semaphore in held:
                semaphore.release()

    async def _wait_for(self, wanted: list[asyncio.Semaphore], held: list[asyncio.Semaphore]) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds) as wait:
                self._waits.add(wait)
                await self._take(wanted, held)
        except TimeoutError:
            if wait in self._turned_away:
                raise DatabaseUnavailable("The database can't be reached. Try again soon.") from None
            raise ServiceBusy("The service is busy. Try again in a second.") from None
        finally:
            self._waits.discard(wait)
            self._turned_away.discard(wait)

    async def _take(self, wanted: list[asyncio.Semaphore], held: list[asyncio.Semaphore]) -> None:
        for semaphore in wanted:
            await semaphore.acquire()
            held.append(semaphore)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)


def _was_never_connected(error: OperationalError) -> bool:
    return error.statement is None and getattr(error.orig, "pgcode", None) is None

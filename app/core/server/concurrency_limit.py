"""Limit on concurrent database requests. Waiting requests hold neither a thread nor a connection."""

import asyncio
import math
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from app.core.database.session import DatabaseUnavailable, ServiceBusy
from app.core.keyed_semaphores import KeyedSemaphores
from app.core.observability import metrics
from app.core.time.clock import monotonic_seconds

WAIT_SECONDS = 2
_Result = TypeVar("_Result")


class ConcurrencyLimiter:
    """Runs work in threads, with one permit for each thread and connection. Work with a permit waits for neither.

    At most `max_writers` writers run at once, by default as many as there are permits. SQLite allows one writer, so the
    others queue here and not in the engine. On PostgreSQL one permit is reserved for readers, because all writers may
    block in COMMIT while the synchronous standby is down.

    Work for a user, as `run` names them, has at most `permits_per_user` permits. More work of the user queues in front
    of the common queue, so it delays nobody else. Writers with the same `serial_key` run one at a time. Those with an
    API token of the user have one, so that a stolen token leaves the user's login sessions the other permits.
    """

    def __init__(
        self,
        name: str,
        *,
        permits: int,
        max_writers: int | None = None,
        permits_per_user: int | None = None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._wait_seconds = wait_seconds
        self._running, self._queued = metrics.REQUESTS_RUNNING.labels(name), metrics.REQUESTS_QUEUED.labels(name)
        metrics.CONCURRENCY_LIMIT.labels(name).inc(permits)
        self._permits = asyncio.Semaphore(permits)
        self._writer_permits = asyncio.Semaphore(max_writers) if max_writers else None
        self._user_permits = KeyedSemaphores(permits_per_user or permits)
        self._serial_permits = KeyedSemaphores(1)
        self._waiters: dict[asyncio.Timeout, float] = {}  # with the instant at which each began to wait
        self._rejected: set[asyncio.Timeout] = set()
        self._executor = ThreadPoolExecutor(max_workers=permits, thread_name_prefix="request")

    async def run(
        self, work: Callable[[], _Result], *, writes: bool, user_id: Hashable = None, serial_key: Hashable = None
    ) -> _Result:
        """Run the work in a thread as soon as a permit is free.

        Raises ServiceBusy after `wait_seconds` in the queue. Raises DatabaseUnavailable if other work loses its
        connection meanwhile, so that queued requests fail at once. Work that was queued after that loss runs.
        """
        acquired: list[asyncio.Semaphore] = []
        try:
            await self._acquire_permits(self._list_semaphores(writes, user_id, serial_key), acquired)
            with self._running.track_inprogress():
                return await self._run_in_thread(work)
        finally:
            for semaphore in acquired:
                semaphore.release()

    async def _run_in_thread(self, work: Callable[[], _Result]) -> _Result:
        failed_at = math.inf

        def note_failure() -> _Result:
            nonlocal failed_at
            try:
                return work()
            except OperationalError:
                failed_at = monotonic_seconds()  # here, because the event loop may learn of it much later
                raise

        future = asyncio.get_running_loop().run_in_executor(self._executor, note_failure)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # The service is stopping. The thread still uses its connection, so the permit is kept until the thread
            # ends.
            await asyncio.wait([future])
            raise
        except OperationalError as error:
            if error.connection_invalidated or _is_connect_failure(error):
                self._reject_waiters(failed_at)
            raise

    def _reject_waiters(self, failed_at: float) -> None:
        """Reject the work that already waited at this instant. The database may have been back for what came later."""
        now = asyncio.get_running_loop().time()
        for wait, since in self._waiters.items():
            if since < failed_at and not wait.expired():
                self._rejected.add(wait)
                wait.reschedule(now)

    def _list_semaphores(self, writes: bool, user_id: Hashable, serial_key: Hashable) -> list[asyncio.Semaphore]:
        """Return the semaphores in the order in which work acquires them."""
        semaphores: list[asyncio.Semaphore] = []
        if writes and serial_key is not None:
            semaphores.append(self._serial_permits[serial_key])
        if user_id is not None:
            semaphores.append(self._user_permits[user_id])
        if writes and self._writer_permits is not None:
            semaphores.append(self._writer_permits)
        return [*semaphores, self._permits]

    async def _acquire_permits(self, semaphores: list[asyncio.Semaphore], acquired: list[asyncio.Semaphore]) -> None:
        """Acquire the semaphores in order, and append each to `acquired`, which the caller releases."""
        if any(semaphore.locked() for semaphore in semaphores):
            with self._queued.track_inprogress():
                await self._wait_for_permits(semaphores, acquired)
        else:
            await self._acquire_all(semaphores, acquired)

    async def _wait_for_permits(self, semaphores: list[asyncio.Semaphore], acquired: list[asyncio.Semaphore]) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds) as wait:
                self._waiters[wait] = monotonic_seconds()
                await self._acquire_all(semaphores, acquired)
        except TimeoutError:
            if wait in self._rejected:
                raise DatabaseUnavailable("The database is unavailable. Try again in a few seconds.") from None
            raise ServiceBusy("The service is busy. Try again in a second.") from None
        finally:
            self._waiters.pop(wait, None)
            self._rejected.discard(wait)

    async def _acquire_all(self, semaphores: list[asyncio.Semaphore], acquired: list[asyncio.Semaphore]) -> None:
        for semaphore in semaphores:
            await semaphore.acquire()
            acquired.append(semaphore)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


def _is_connect_failure(error: OperationalError) -> bool:
    return error.statement is None and getattr(error.orig, "pgcode", None) is None

"""The shared objects of one worker process. They are created from the settings at startup and closed at shutdown."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.core.config.settings import Settings
from app.core.database.session import Database
from app.core.keyed_semaphores import KeyedSemaphores
from app.core.mail import create_mailer
from app.core.observability import metrics
from app.core.security.access_tokens import TokenSigner
from app.core.security.passwords import PasswordHasher
from app.core.server.concurrency_limit import ConcurrencyLimiter
from app.core.server.connection_limit import ConnectionLimiter
from app.core.server.export_limit import ExportLimiter
from app.core.server.rate_limit import RateLimiter, WriteLimiter
from app.core.server.spool import Spool

REPORT_WAIT_SECONDS = 30
MAX_STREAMED_READS = 2


class Runtime:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings)
        metrics.instrument_pool(self.database.engine, settings.max_db_connections)
        max_writers = 1 if settings.is_sqlite else settings.DB_POOL_SIZE
        self.request_limiter = ConcurrencyLimiter(
            "requests",
            permits=settings.request_permits,
            max_writers=max_writers,
            permits_per_user=max(1, settings.DB_POOL_SIZE // 2),  # whose writes may all wait for the user's row
        )
        # Reports and exports have their own permits, so that long reads never delay punches.
        self.report_limiter = ConcurrencyLimiter(
            "reports",
            permits=settings.MAX_CONCURRENT_REPORTS,
            permits_per_user=max(1, settings.MAX_CONCURRENT_REPORTS // 2),
            wait_seconds=REPORT_WAIT_SECONDS,
        )
        self.spools: set[Spool] = set()
        # Until a client has read a streamed response, it is a file on disk.
        self.streamed_reads = KeyedSemaphores(MAX_STREAMED_READS)
        self.hasher = PasswordHasher()
        self.signer = TokenSigner(settings)
        self.mailer = create_mailer(settings)
        self.rate_limiter = RateLimiter(settings.REQUESTS_PER_MINUTE)
        self.write_limiter = WriteLimiter(settings.MAX_AUDIT_MIB_PER_HOUR)
        self.export_limiter = ExportLimiter()
        self.connection_limiter = ConnectionLimiter(settings)
        self._background_tasks: dict[object, asyncio.Task[None]] = {}

    def run_in_background(self, key: object, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start the work as a background task, unless one with this key is running. A failure is only logged."""
        if key not in self._background_tasks:
            self._background_tasks[key] = asyncio.create_task(self._run_and_log(key, work))
        return self._background_tasks[key]

    async def wait_for_background(self) -> None:
        """Wait for all background tasks."""
        await asyncio.gather(*self._background_tasks.values())

    async def _run_and_log(self, key: object, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            structlog.get_logger().warning("background_task_failed", error=type(error).__name__)
        finally:
            del self._background_tasks[key]

    def close(self) -> None:
        """Close everything and wait for the threads. It blocks, so do not call it in the event loop."""
        for spool in list(self.spools):
            spool.close_reader()  # its producer stops at the next chunk
        self.database.abort_connections()  # stops producers that still wait for PostgreSQL
        self.request_limiter.close()
        self.report_limiter.close()
        self.hasher.close()
        self.database.close()

"""What one process needs to serve: made once from the settings, closed at the end."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.core.config.settings import Settings
from app.core.database.session import Database
from app.core.mail import mailer_for
from app.core.observability import metrics
from app.core.security.access_tokens import TokenSigner
from app.core.security.passwords import PasswordHasher
from app.core.server.concurrency_limit import Gate
from app.core.server.export_limit import ExportLimit
from app.core.server.rate_limit import RequestLimit
from app.core.server.spool import Spool

REPORT_WAIT_SECONDS = 30


class Runtime:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings)
        metrics.watch_pool(self.database.engine, settings.connections)
        writers = 1 if settings.is_sqlite else settings.DB_POOL_SIZE
        self.gate = Gate("requests", slots=settings.request_slots, writers=writers)
        # Reports and exports take their time: they queue beside the punches, never in front of them.
        self.reports_gate = Gate("reports", slots=settings.MAX_CONCURRENT_REPORTS, wait_seconds=REPORT_WAIT_SECONDS)
        self.spools: set[Spool] = set()
        self.hasher = PasswordHasher()
        self.signer = TokenSigner(settings)
        self.mailer = mailer_for(settings)
        self.request_limit = RequestLimit(settings.REQUESTS_PER_MINUTE)
        self.export_limit = ExportLimit()
        self._behind: dict[object, asyncio.Task[None]] = {}

    def behind(self, key: object, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do the work behind the answer, one at a time for each key. Nobody needs it done, so a failure is logged."""
        if key not in self._behind:
            self._behind[key] = asyncio.create_task(self._do_behind(key, work))
        return self._behind[key]

    async def settle(self) -> None:
        """Wait for what is done behind answers."""
        await asyncio.gather(*self._behind.values())

    async def _do_behind(self, key: object, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            structlog.get_logger().warning("background_task_failed", error=type(error).__name__)
        finally:
            del self._behind[key]

    def close(self) -> None:
        """Let go of everything. It waits for the threads: not for the event loop."""
        for spool in list(self.spools):
            spool.close_reader()  # its producer stops at the next chunk
        self.database.hang_up()  # or now, where the next chunk is long in coming: nobody reads it
        self.gate.close()
        self.reports_gate.close()
        self.hasher.close()
        self.database.close()

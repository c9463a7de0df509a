"""Responses that a thread writes to a spool while the client reads them (see core/server/spool.py)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from typing import Any

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.dependencies.transactions import AuthenticatedTransactionRunner, RequestTransactionRunner
from app.core.database.session import ServiceBusy, Session
from app.core.errors import Unavailable
from app.core.observability.logging import first_line
from app.core.server.spool import ReaderGone, Spool, Write
from app.services.access.actor import Actor


class InsufficientStorage(Unavailable):
    code = "insufficient_storage"
    title = "Insufficient storage"
    retry_after_seconds = 60


class SpooledResponse(StreamingResponse):
    """A response that streams a spool, and runs `cleanup` at its end or when the client disconnects.

    After `timeout_seconds` the connection is closed, so that a slow client does not keep the spool file forever.
    """

    def __init__(self, spool: Spool, cleanup: ExitStack, timeout_seconds: int, **options: Any) -> None:
        super().__init__(self._body(), **options)
        self._spool, self._cleanup, self._timeout_seconds = spool, cleanup, timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._cleanup:
            async with asyncio.timeout(self._timeout_seconds):
                await super().__call__(scope, receive, send)

    async def _body(self) -> AsyncIterator[bytes]:
        async for chunk in self._spool.stream():
            yield chunk
        self._cleanup.close()  # before the last chunk: a client with the whole file may start its next export at once


async def stream_response(
    tx: AuthenticatedTransactionRunner[Actor],
    begin: Callable[[Session, Actor], None],
    produce: Callable[[Session, Actor, Write], None],
    *,
    media_type: str,
    file_name: str,
) -> SpooledResponse:
    """Record an export in a writing transaction, then stream the file that `produce` writes in a read-only one.

    Returns when the first bytes are written, so that an earlier failure is still an error response. A later one breaks
    the connection. Raises TooManyExports (nothing is recorded then), InsufficientStorage if the file can't be written,
    ServiceBusy, and what `begin` and `produce` raise.
    """
    runtime = tx.anonymous.runtime
    seconds = runtime.settings.EXPORT_TIMEOUT_SECONDS
    with ExitStack() as cleanup:
        export = object()
        cleanup.callback(runtime.export_limiter.release, export)

        def admit(session: Session, actor: Actor) -> Actor:
            begin(session, actor)
            runtime.export_limiter.acquire(export, actor.id)
            return actor

        actor = await tx.write(admit)
        try:
            spool = _start_spool(tx.anonymous, actor.id, lambda session, write: produce(session, actor, write))
            cleanup.callback(spool.close_reader)
            async with asyncio.timeout(seconds):
                if not await spool.wait_for_data():
                    spool.producer.result()
        except TimeoutError as error:
            raise ServiceBusy("The export took too long. Send a shorter period.") from error
        except OSError as error:
            message = "The server has no disk space left for the file. Try again later, or tell the operator."
            raise InsufficientStorage(message) from error
        headers = {"Content-Disposition": f'attachment; filename="{file_name}"', "Cache-Control": "no-store"}
        return SpooledResponse(spool, cleanup.pop_all(), seconds, media_type=media_type, headers=headers)


def _start_spool(runner: RequestTransactionRunner, user_id: int, produce: Callable[[Session, Write], None]) -> Spool:
    """Return a spool that `produce` fills in a read-only transaction. A failure is logged. Raises OSError."""
    runtime, request_id = runner.runtime, runner.request_id

    def work() -> None:
        with runtime.database.read_transaction(request_id) as session, suppress(ReaderGone):
            produce(session, spool.write)

    def finish(producer: asyncio.Task[None]) -> None:
        runtime.spools.discard(spool)
        if not producer.cancelled() and (error := producer.exception()) is not None:
            message = f"{type(error).__name__}: {first_line(error)}"
            structlog.get_logger().warning("export_failed", request_id=request_id, error=message)

    spool = Spool(lambda: runtime.report_limiter.run(work, writes=False, user_id=user_id))
    runtime.spools.add(spool)
    spool.producer.add_done_callback(finish)
    return spool

"""Responses that a thread writes to a spool while the client reads them (see core/server/spool.py)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

import structlog
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.dependencies.transactions import AuthenticatedTransactionRunner, RequestTransactionRunner
from app.api.http.downloads import attachment
from app.core.database.session import ServiceBusy, Session
from app.core.errors import Unavailable
from app.core.observability.logging import first_line
from app.core.server.runtime import REPORT_WAIT_SECONDS
from app.core.server.spool import ReaderGone, Spool, Write
from app.services.access.actor import Actor

JSON = "application/json"


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


def headers_only(media_type: str, headers: Mapping[str, str] | None = None) -> StreamingResponse:
    """Return the response to HEAD without Content-Length, which is known only when a file has been made."""
    return StreamingResponse(iter(()), media_type=media_type, headers=headers)


async def stream_response(
    tx: AuthenticatedTransactionRunner[Actor],
    begin: Callable[[Session, Actor], None],
    produce: Callable[[Session, Actor, Write], None],
    *,
    check: Callable[[Session, Actor], None] = lambda _session, _actor: None,
    media_type: str,
    file_name: str,
    headers: dict[str, str] | None = None,
) -> StreamingResponse:
    """Record an export in a writing transaction, then stream the file that `produce` writes in a read-only one.

    `check`, and `produce` before it writes the first bytes, may add to `headers`.

    Returns when the first bytes are written, so that an earlier failure is still an error response. A later one breaks
    the connection. For HEAD, only `check` runs, on a permit of the report limiter. No file is made and nothing is
    recorded, because no data is sent.

    Raises TooManyExports (nothing is recorded then), InsufficientStorage if the file can't be written, ServiceBusy, and
    what `check`, `begin` and `produce` raise.
    """
    headers = {} if headers is None else headers
    headers |= {"Content-Disposition": attachment(file_name), "Cache-Control": "no-store"}
    if tx.anonymous.is_head:
        await tx.report(check)
        return headers_only(media_type, headers)
    runtime = tx.anonymous.runtime
    with ExitStack() as cleanup:
        export = object()
        cleanup.callback(runtime.export_limiter.release, export)

        def admit(session: Session, actor: Actor) -> int:
            begin(session, actor)
            runtime.export_limiter.acquire(export, actor.id)
            return actor.id

        user_id = await tx.write(admit)
        return await _spooled_response(
            tx.anonymous,
            user_id,
            lambda session, write: produce(session, tx.identify(session), write),
            cleanup,
            media_type=media_type,
            headers=headers,
        )


async def json_response(
    tx: AuthenticatedTransactionRunner[Actor],
    body: bytes | None,
    produce: Callable[[Session, Actor, Write], None],
) -> Response:
    """Return the body as a JSON response. If it is None, because it is large, stream what `produce` writes instead.

    The stream uses the report limiter, and one of MAX_STREAMED_READS permits of the user until the client has read it.
    Raises InsufficientStorage, ServiceBusy, and what `produce` raises before its first bytes.
    """
    if body is not None:
        return Response(body, media_type=JSON)
    if tx.anonymous.is_head:
        return headers_only(JSON)
    runtime, user_id = tx.anonymous.runtime, await tx.user_id()
    permit = runtime.streamed_reads[user_id]
    with ExitStack() as cleanup:
        try:
            async with asyncio.timeout(REPORT_WAIT_SECONDS):
                await permit.acquire()
        except TimeoutError as error:
            raise ServiceBusy("Your earlier large responses are still being sent. Read them, then retry.") from error
        cleanup.callback(permit.release)
        return await _spooled_response(
            tx.anonymous,
            user_id,
            lambda session, write: produce(session, tx.identify(session), write),
            cleanup,
            media_type=JSON,
        )


async def _spooled_response(
    runner: RequestTransactionRunner,
    user_id: int,
    produce: Callable[[Session, Write], None],
    cleanup: ExitStack,
    **options: Any,
) -> SpooledResponse:
    """Return a response that streams what `produce` writes, as soon as the first bytes are written."""
    seconds = runner.runtime.settings.EXPORT_TIMEOUT_SECONDS
    try:
        spool = _start_spool(runner, user_id, produce)
        cleanup.callback(spool.close_reader)
        async with asyncio.timeout(seconds):
            if not await spool.wait_for_data():
                spool.producer.result()
    except TimeoutError as error:
        raise ServiceBusy("The export took too long. Send a shorter period.") from error
    except OSError as error:
        message = "The server has no disk space left for the file. Try again later, or tell the operator."
        raise InsufficientStorage(message) from error
    return SpooledResponse(spool, cleanup.pop_all(), seconds, **options)


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

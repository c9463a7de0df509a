"""Answers that are written to a spool in a thread while they are read by the client: see core/spool.py."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from typing import Any

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.core.db import Session
from app.core.errors import Unavailable
from app.core.logging import first_line
from app.core.runtime import Runtime
from app.core.spool import Spool

_producers: set[asyncio.Task[None]] = set()  # asyncio itself keeps only weak references to tasks


NO_ROOM = "There is no room to write the file on our side. Try again soon; if it stays, tell the operator."


class NoRoom(Unavailable):
    code = "no_room"
    title = "No room for the file"
    retry_after_seconds = 60


class SpooledResponse(StreamingResponse):
    """A body that follows a spool, and lets go of it at the end, whether or not the client stayed until then."""

    def __init__(self, spool: Spool, **options: Any) -> None:
        super().__init__(spool.follow(), **options)
        self._spool = spool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._spool.abandon()


async def streamed(
    runtime: Runtime, request_id: str, chunks: Callable[[Session], Generator[bytes]], **options: Any
) -> SpooledResponse:
    """The chunks, made in one read-only transaction, as an answer that follows them; options as a Response takes them.

    Returns once there is a first chunk, so what goes wrong before it is still answered as a problem: it raises what the
    chunks raise, NoRoom where the file can't be written, ServiceBusy when too many wait already. A later failure breaks
    the connection.
    """
    try:
        spool = Spool()
    except OSError as error:
        raise NoRoom(NO_ROOM) from error
    runtime.spools.add(spool)

    def produce() -> None:
        with runtime.database.reading(request_id) as session, closing(chunks(session)) as made:
            spool.fill(made)

    producer = asyncio.create_task(_run(runtime, spool, produce))
    _producers.add(producer)
    producer.add_done_callback(partial(_forget, request_id))
    producer.add_done_callback(lambda _: runtime.spools.discard(spool))
    try:
        if not await spool.has_begun():
            await producer
    except OSError as error:
        spool.abandon()
        raise NoRoom(NO_ROOM) from error
    except BaseException:
        spool.abandon()
        raise
    return SpooledResponse(spool, **options)


async def _run(runtime: Runtime, spool: Spool, produce: Callable[[], None]) -> None:
    try:
        await runtime.reports_gate.run(produce, writes=False)
    except BaseException:
        spool.fail()
        raise


def _forget(request_id: str, producer: asyncio.Task[None]) -> None:
    _producers.discard(producer)
    if not producer.cancelled() and (error := producer.exception()) is not None:
        said = f"{type(error).__name__}: {first_line(error)}"
        structlog.get_logger().warning("export_failed", request_id=request_id, error=said)

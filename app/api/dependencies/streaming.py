"""Answers that are written to a spool in a thread while they are read by the client: see core/server/spool.py."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.dependencies.transactions import Transactions
from app.core.database.session import ServiceBusy, Session
from app.core.errors import Unavailable
from app.core.observability.logging import first_line
from app.core.server.runtime import Runtime
from app.core.server.spool import Spool, Write
from app.services.access.actor import Actor

_producers: set[asyncio.Task[None]] = set()  # asyncio itself keeps only weak references to tasks


NO_ROOM = "There is no room to write the file on our side. Try again soon; if it stays, tell the operator."


class NoRoom(Unavailable):
    code = "no_room"
    title = "No room for the file"
    retry_after_seconds = 60


class SpooledResponse(StreamingResponse):
    """A body that follows a spool. At its end, whether or not the client stayed until then, it closes what it holds.

    It has `timeout_seconds`; then the connection breaks, so that no client keeps a file of ours for good.
    """

    def __init__(self, spool: Spool, held: ExitStack, timeout_seconds: int, **options: Any) -> None:
        super().__init__(self._body(), **options)
        self._spool, self._held, self._timeout_seconds = spool, held, timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            async with asyncio.timeout(self._timeout_seconds):
                await super().__call__(scope, receive, send)

    async def _body(self) -> AsyncIterator[bytes]:
        async for chunk in self._spool.follow():
            yield chunk
        self._held.close()  # before the end, so that a client that has the whole file may ask for the next one


def written(chunks: Callable[[Session, Actor], Generator[bytes]]) -> Callable[[Session, Actor, Write], None]:
    """A producer that writes the chunks."""

    def produce(session: Session, actor: Actor, write: Write) -> None:
        with closing(chunks(session, actor)) as made:
            for chunk in made:
                write(chunk)

    return produce


async def streamed(
    runtime: Runtime,
    transactions: Transactions,
    begin: Callable[[Session], Actor],
    produce: Callable[[Session, Actor, Write], None],
    **options: Any,
) -> SpooledResponse:
    """Begin an export in a writing transaction, which records it, and answer with the file of a read-only one.

    Options as a Response takes them.

    Returns once there are first bytes, so what goes wrong before them is still answered as a problem: it raises what
    `begin` and `produce` raise, TooManyExports (then nothing is recorded), NoRoom where the file can't be written,
    ServiceBusy when too many wait already. A later failure breaks the connection.
    """
    seconds = runtime.settings.EXPORT_TIMEOUT_SECONDS
    with ExitStack() as held:
        export = object()
        held.callback(runtime.export_limit.release, export)

        def admit(session: Session) -> Actor:
            actor = begin(session)
            runtime.export_limit.take(export, actor.id)
            return actor

        actor = await transactions.write(admit)
        try:
            async with asyncio.timeout(seconds):
                spool = await _begun(
                    runtime, transactions.request_id, lambda session, write: produce(session, actor, write)
                )
        except TimeoutError as error:
            raise ServiceBusy("The export took too long. Ask for a shorter period.") from error
        held.callback(spool.abandon)
        return SpooledResponse(spool, held.pop_all(), seconds, **options)


async def _begun(runtime: Runtime, request_id: str, produce: Callable[[Session, Write], None]) -> Spool:
    """A spool that has its first bytes."""
    try:
        spool = Spool()
    except OSError as error:
        raise NoRoom(NO_ROOM) from error
    runtime.spools.add(spool)

    def work() -> None:
        with runtime.database.reading(request_id) as session:
            spool.fill(lambda write: produce(session, write))

    producer = asyncio.create_task(_run(runtime, spool, work))
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
    return spool


async def _run(runtime: Runtime, spool: Spool, work: Callable[[], None]) -> None:
    try:
        await runtime.reports_gate.run(work, writes=False)
    except BaseException:
        spool.fail()
        raise


def _forget(request_id: str, producer: asyncio.Task[None]) -> None:
    _producers.discard(producer)
    if not producer.cancelled() and (error := producer.exception()) is not None:
        said = f"{type(error).__name__}: {first_line(error)}"
        structlog.get_logger().warning("export_failed", request_id=request_id, error=said)

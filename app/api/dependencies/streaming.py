"""Answers that are written to a spool in a thread while they are read by the client: see core/server/spool.py."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import closing, suppress
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.dependencies.transactions import Transactions
from app.core.database.session import ServiceBusy, Session
from app.core.errors import DomainError, Unavailable
from app.core.observability.logging import first_line
from app.core.server.runtime import Runtime
from app.core.server.spool import Spool, Write
from app.core.time.clock import utc_now
from app.services import export_leases
from app.services.export_leases import Slot

_producers: set[asyncio.Task[None]] = set()  # asyncio itself keeps only weak references to tasks


NO_ROOM = "There is no room to write the file on our side. Try again soon; if it stays, tell the operator."


class NoRoom(Unavailable):
    code = "no_room"
    title = "No room for the file"
    retry_after_seconds = 60


class SpooledResponse(StreamingResponse):
    """A body that follows a spool, and lets go of it at the end, whether or not the client stayed until then.

    It has EXPORT_TIMEOUT_SECONDS; then the connection breaks, so that nobody keeps a file of ours for good.
    """

    def __init__(self, spool: Spool, held: "_Held", **options: Any) -> None:
        super().__init__(self._body(), **options)
        self._spool, self._held = spool, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._held.timeout_seconds):
                await super().__call__(scope, receive, send)
        finally:
            self._spool.abandon()
            self._held.let_go()

    async def _body(self) -> AsyncIterator[bytes]:
        async for chunk in self._spool.follow():
            yield chunk
        await self._held.give_back()  # before the end, so that who has the whole file may ask for the next one


class _Held:
    """The slot of an export, held on to until it is let go."""

    def __init__(self, runtime: Runtime, transactions: Transactions, slot: Slot) -> None:
        self._runtime, self._transactions, self._slot = runtime, transactions, slot
        self._holding = asyncio.create_task(self._hold())
        self._is_held = True
        self.timeout_seconds = runtime.settings.EXPORT_TIMEOUT_SECONDS

    async def give_back(self) -> None:
        """Make the slot free."""
        self._holding.cancel()
        with _harmless():
            await self._transactions.write(lambda session: export_leases.give_back(session, self._slot))
            self._is_held = False

    def let_go(self) -> None:
        """Make the slot free, behind the answer, unless it is already."""
        self._holding.cancel()
        if self._is_held:
            self._runtime.behind(self._slot, self.give_back)

    async def _hold(self) -> None:
        while True:
            await asyncio.sleep(export_leases.HELD_FOR.total_seconds() / 3)
            with _harmless():
                await self._transactions.write(lambda session: export_leases.hold(session, self._slot, at=utc_now()))


def _harmless() -> suppress:
    """Where the database can't be asked about a slot: it is free in a minute, then, and nothing worse."""
    return suppress(DomainError, SQLAlchemyError)


def written(chunks: Callable[[Session], Generator[bytes]]) -> Callable[[Session, Write], None]:
    """A producer that writes the chunks."""

    def produce(session: Session, write: Write) -> None:
        with closing(chunks(session)) as made:
            for chunk in made:
                write(chunk)

    return produce


async def streamed(
    runtime: Runtime,
    transactions: Transactions,
    slot: Slot,
    produce: Callable[[Session, Write], None],
    **options: Any,
) -> SpooledResponse:
    """What is written in one read-only transaction, as an answer that follows it; options as a Response takes them.

    Returns once there are first bytes, so what goes wrong before them is still answered as a problem: it raises what
    the producer raises, NoRoom where the file can't be written, ServiceBusy when too many wait already. A later failure
    breaks the connection. The slot is given back at the end, however it ends.
    """
    held = _Held(runtime, transactions, slot)
    try:
        async with asyncio.timeout(held.timeout_seconds):
            spool = await _begun(runtime, transactions.request_id, produce)
        return SpooledResponse(spool, held, **options)
    except TimeoutError as error:
        held.let_go()
        raise ServiceBusy("The export took too long. Ask for a shorter period.") from error
    except BaseException:
        held.let_go()
        raise


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

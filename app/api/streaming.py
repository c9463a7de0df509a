"""Answers that are written to a spool in a thread while they are read by the client: see core/spool.py."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import structlog

from app.core.db import Session
from app.core.runtime import Runtime
from app.core.spool import Spool

_producers: set[asyncio.Task[None]] = set()  # asyncio itself keeps only weak references to tasks


async def streamed(
    runtime: Runtime, request_id: str, chunks: Callable[[Session], Iterator[bytes]]
) -> AsyncIterator[bytes]:
    """The chunks, made in one read-only transaction, as an answer's body that follows them.

    Returns once there is a first chunk, so what goes wrong before it is still answered as a problem: it raises what the
    chunks raise, and ServiceBusy when too many exports wait already. A later failure breaks the connection.
    """
    spool = Spool()

    def produce() -> None:
        with runtime.database.reading(request_id) as session:
            spool.fill(chunks(session))

    producer = asyncio.create_task(_run(runtime, spool, produce))
    _producers.add(producer)
    producer.add_done_callback(_forget)
    await spool.first_bytes()
    if spool.is_empty:
        await producer
    return spool.follow()


async def _run(runtime: Runtime, spool: Spool, produce: Callable[[], None]) -> None:
    try:
        await runtime.exports_gate.run(produce, writes=False)
    except BaseException:
        spool.fail()
        raise


def _forget(producer: asyncio.Task[None]) -> None:
    _producers.discard(producer)
    if not producer.cancelled() and (error := producer.exception()) is not None:
        structlog.get_logger().warning("export_failed", error=type(error).__name__)

"""Limits on request bodies, and error responses for unhandled exceptions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.http.problems import (
    BodyTooLarge,
    BodyTooSlow,
    UnsupportedContentEncoding,
    exception_response,
    problem_response,
)
from app.core.database.session import ServiceBusy
from app.core.keyed_semaphores import KeyedSemaphores
from app.core.server.ip_addresses import rate_limit_key

MAX_BODY_BYTES = 1024 * 1024
MAX_AUTH_BODY_BYTES = 16 * 1024
"""Limit for logins, refreshes and password links, which anybody can send. A change of the password has up to 12 KiB."""
SMALL_BODY_BYTES = 64 * 1024
"""Size up to which a body needs no permit, as every punch and login."""
BODY_BUDGET_BYTES = 32 * 1024 * 1024
"""Bytes of larger bodies that a worker process receives at a time, for each limit on the size of a body."""


class BodyLimitMiddleware:
    """Limits on a request body: `limit_overrides` by method and path, MAX_AUTH_BODY_BYTES below `auth_path`, else
    MAX_BODY_BYTES; and `timeout_seconds` after the request's headers. RequestMiddleware, which wraps this middleware,
    sets `scope["state"]["status"]`.

    A body over SMALL_BODY_BYTES is received with a permit for all of it, so that one that has begun can end. A network
    has half of the permits. Without one, nothing more is read from the connection, so unfinished bodies do not fill the
    memory.

    FastAPI's `max_body_size` is no replacement, because an operation without a body, such as a DELETE, runs before an
    oversized body is rejected.
    """

    def __init__(
        self, app: ASGIApp, *, auth_path: str, limit_overrides: Mapping[tuple[str, str], int], timeout_seconds: float
    ) -> None:
        self.app = app
        self._auth_path = auth_path
        self._limit_overrides = limit_overrides
        self._timeout_seconds = timeout_seconds
        self._permits = {
            max_bytes: _Permits(BODY_BUDGET_BYTES // max_bytes)
            for max_bytes in {MAX_BODY_BYTES, MAX_AUTH_BODY_BYTES, *limit_overrides.values()}
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        default = MAX_AUTH_BODY_BYTES if scope["path"].startswith(self._auth_path) else MAX_BODY_BYTES
        max_bytes = self._limit_overrides.get((scope["method"], scope["path"]), default)
        try:
            length = _check_headers(Headers(scope=scope), max_bytes)
            with ExitStack() as held_permits:
                acquire = partial(self._permits[max_bytes].acquire, _network_of(scope), held_permits)
                await self.app(scope, self._limit_body(receive, max_bytes, length, acquire), send)
        except asyncio.CancelledError:
            if not scope["state"]["status"]:  # the server is stopping, and its drain timeout is over
                await problem_response(ServiceBusy("The service is stopping. Try again."), scope)(scope, receive, send)
            raise
        except Exception as error:
            if scope["state"]["status"]:
                raise  # break the connection, or a partial response would look complete
            await exception_response(error, scope)(scope, receive, send)

    def _limit_body(
        self, receive: Receive, max_bytes: int, length: int, acquire_permit: Callable[[], Awaitable[None]]
    ) -> Receive:
        """Count the body's bytes as they arrive, because a chunked body has no Content-Length.

        Raises BodyTooLarge, BodyTooSlow, and ServiceBusy if no permit becomes free in time.
        """
        loop = asyncio.get_running_loop()
        deadline: float | None = loop.time() + self._timeout_seconds
        read_bytes, has_permit = 0, False

        async def receive_limited() -> Message:
            nonlocal deadline, read_bytes, has_permit
            if not has_permit and deadline is not None and max(length, read_bytes) > SMALL_BODY_BYTES:
                async with _busy_after(self._timeout_seconds):
                    await acquire_permit()
                deadline, has_permit = loop.time() + self._timeout_seconds, True
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                detail = (
                    f"The request body was not received within {self._timeout_seconds} seconds. "
                    "Send it faster, or send a smaller one."
                )
                raise BodyTooSlow(detail) from None
            if not message.get("more_body"):
                deadline = None  # the next message is the client's disconnect, at any time
            read_bytes += len(message.get("body", b""))
            if read_bytes > max_bytes:
                raise _body_too_large(max_bytes)
            return message

        return receive_limited


class _Permits:
    """Permits to receive bodies. A network has half of them."""

    def __init__(self, count: int) -> None:
        self._all = asyncio.Semaphore(count)
        self._by_network = KeyedSemaphores(count // 2)

    async def acquire(self, network: str, held: ExitStack) -> None:
        for semaphore in (self._by_network[network], self._all):
            await semaphore.acquire()
            held.callback(semaphore.release)


@asynccontextmanager
async def _busy_after(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ServiceBusy("The service is receiving too many large request bodies. Try again in a second.") from None


def _network_of(scope: Scope) -> str:
    return rate_limit_key((scope.get("client") or ("", 0))[0])


def _check_headers(headers: Headers, max_bytes: int) -> int:
    """Return the Content-Length, or 0 if there is none. Raises UnsupportedContentEncoding, BodyTooLarge."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedContentEncoding("Send the body without Content-Encoding.")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > max_bytes:
        raise _body_too_large(max_bytes)
    return int(length)


def _body_too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is limited to {max_bytes} bytes. Send a smaller one.")

"""Around every request: its id, its limits, its log line, and a problem for whatever nobody caught."""

import asyncio
import re
import secrets
import time
from collections.abc import Iterator, Mapping

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import BodyTooLarge, EncodedBody, problem, problem_of
from app.core.addresses import plain_address
from app.core.db import ServiceBusy
from app.core.errors import DomainError
from app.core.metrics import count_request

PAGES = frozenset({"/docs", "/redoc"})
"""What is a page; the rest is data, which no browser should run, frame or load anything for."""
MAX_BODY_BYTES = 1024 * 1024
SLOW_SECONDS = 1
"""From here on a request is a warning in the log, by its route."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger()


class RequestMiddleware:
    """A client's X-Request-ID is kept if it is plain, so that one id follows a call through systems.

    `larger_bodies` says how many bytes a body may have, by method and path, where it may have more than others.
    """

    def __init__(self, app: ASGIApp, *, larger_bodies: Mapping[tuple[str, str], int]) -> None:
        self.app = app
        self._larger_bodies = larger_bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        sent_id = headers.get("x-request-id", "")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        is_complete = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, is_complete
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_added(message["headers"], scope["path"], request_id)]
            await send(message)

        try:
            await self._serve(scope, headers, receive, send_with_id)
        except asyncio.CancelledError:
            if not status:  # we are stopping, and this request won't be waited for
                await problem(ServiceBusy("The service is stopping. Try again."), scope)(scope, receive, send_with_id)
            raise
        except Exception as error:
            if status:
                raise  # half an answer is out: break the connection rather than end it cleanly
            await problem_of(error, scope)(scope, receive, send_with_id)
        finally:
            seconds, route = time.perf_counter() - started, _route_of(scope)
            count_request(scope["method"], route, status if is_complete else "broken" if status else "none", seconds)
            log = _log.warning if seconds >= SLOW_SECONDS else _log.info
            log(
                "request",
                request_id=request_id,
                user_id=scope["state"].get("user_id"),
                address=plain_address((scope.get("client") or ("", 0))[0]),
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 1),
            )

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        limit = self._larger_bodies.get((scope["method"], scope["path"]), MAX_BODY_BYTES)
        limited = _LimitedBody(receive, limit)
        try:
            _refuse_unread(headers, limit)
            await self.app(scope, limited.receive, send)
        except DomainError as error:
            await problem(error, scope)(scope, receive, send)


class _LimitedBody:
    """Counts the body as it comes: a chunked one has no Content-Length."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._read_bytes = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._read_bytes += len(message.get("body", b""))
        if self._read_bytes > self._limit:
            raise _too_large(self._limit)
        return message


def _refuse_unread(headers: Headers, limit: int) -> None:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise EncodedBody("Send the body without Content-Encoding.")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > limit:
        raise _too_large(limit)


def _added(headers: list[tuple[bytes, bytes]], path: str, request_id: str) -> Iterator[tuple[bytes, bytes]]:
    """What every answer says beside its own headers."""
    yield b"x-request-id", request_id.encode()
    yield b"x-content-type-options", b"nosniff"
    yield b"referrer-policy", b"no-referrer"
    if path not in PAGES:
        yield b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"
    if all(name != b"cache-control" for name, _ in headers):
        yield b"cache-control", b"no-store"


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"A body has at most {limit} bytes.")


def _route_of(scope: Scope) -> str | None:
    """The route's pattern, not the path: a log of paths would be a log of who looked at whom."""
    return getattr(scope.get("route"), "path_format", None)

"""Limits on request bodies, and error responses for unhandled exceptions."""

import asyncio
from collections.abc import Mapping

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

MAX_BODY_BYTES = 1024 * 1024


class BodyLimitMiddleware:
    """Limits on a request body: MAX_BODY_BYTES or `limit_overrides` by method and path, and `timeout_seconds` after the
    request's headers. RequestMiddleware, which wraps this middleware, sets `scope["state"]["status"]`.

    FastAPI's `max_body_size` is no replacement, because an operation without a body, such as a DELETE, runs before an
    oversized body is rejected.
    """

    def __init__(self, app: ASGIApp, *, limit_overrides: Mapping[tuple[str, str], int], timeout_seconds: float) -> None:
        self.app = app
        self._limit_overrides = limit_overrides
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        max_bytes = self._limit_overrides.get((scope["method"], scope["path"]), MAX_BODY_BYTES)
        try:
            _check_headers(Headers(scope=scope), max_bytes)
            await self.app(scope, self._limit_body(receive, max_bytes), send)
        except asyncio.CancelledError:
            if not scope["state"]["status"]:  # the server is stopping, and its drain timeout is over
                await problem_response(ServiceBusy("The service is stopping. Try again."), scope)(scope, receive, send)
            raise
        except Exception as error:
            if scope["state"]["status"]:
                raise  # break the connection, or a partial response would look complete
            await exception_response(error, scope)(scope, receive, send)

    def _limit_body(self, receive: Receive, max_bytes: int) -> Receive:
        """Count the body's bytes as they arrive, because a chunked body has no Content-Length.

        Raises BodyTooLarge, BodyTooSlow.
        """
        deadline: float | None = asyncio.get_running_loop().time() + self._timeout_seconds
        read_bytes = 0

        async def receive_limited() -> Message:
            nonlocal deadline, read_bytes
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


def _check_headers(headers: Headers, max_bytes: int) -> None:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedContentEncoding("Send the body without Content-Encoding.")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > max_bytes:
        raise _body_too_large(max_bytes)


def _body_too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is limited to {max_bytes} bytes. Send a smaller one.")

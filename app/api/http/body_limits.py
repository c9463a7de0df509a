"""Between a request and the application: bodies of bounded form, size and time; problems for what nobody caught."""

import asyncio
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.http.problems import BodyTooLarge, BodyTooSlow, EncodedBody, problem, problem_of
from app.core.database.session import ServiceBusy
from app.core.errors import DomainError

MAX_BODY_BYTES = 1024 * 1024


class GuardMiddleware:
    """`larger_bodies` says how many bytes a body may have, by method and path, where it may have more than others.

    A body has `body_seconds` from its request's head on. RequestMiddleware, around this, notes which status went out.
    """

    def __init__(self, app: ASGIApp, *, larger_bodies: Mapping[tuple[str, str], int], body_seconds: float) -> None:
        self.app = app
        self._larger_bodies = larger_bodies
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._serve(scope, receive, send)
        except asyncio.CancelledError:
            if not scope["state"]["status"]:  # we are stopping, and this request won't be waited for
                await problem(ServiceBusy("The service is stopping. Try again."), scope)(scope, receive, send)
            raise
        except Exception as error:
            if scope["state"]["status"]:
                raise  # half an answer is out: break the connection rather than end it cleanly
            await problem_of(error, scope)(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._larger_bodies.get((scope["method"], scope["path"]), MAX_BODY_BYTES)
        bounded = _BoundedBody(receive, limit, self._body_seconds)
        try:
            _refuse_unread(Headers(scope=scope), limit)
            await self.app(scope, bounded.receive, send)
        except DomainError as error:
            await problem(error, scope)(scope, receive, send)


class _BoundedBody:
    """Counts the body as it comes (a chunked one has no Content-Length), and waits for its end only so long."""

    def __init__(self, receive: Receive, max_bytes: int, seconds: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._read_bytes = 0
        self._is_complete = False

    async def receive(self) -> Message:
        """The next part. Raises BodyTooLarge and BodyTooSlow."""
        if self._is_complete:  # what comes now is that the client has left, some time
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow(f"The body wasn't there after {self._seconds} s. Send it at once, or less.") from None
        self._is_complete = not message.get("more_body")
        self._read_bytes += len(message.get("body", b""))
        if self._read_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        return message


def _refuse_unread(headers: Headers, limit: int) -> None:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise EncodedBody("Send the body without Content-Encoding.")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"A body has at most {limit} bytes.")

"""Around every request: its id, whether it is meant for us, its log line, and what every answer says."""

import re
import secrets
import time
from collections.abc import Iterator, Sequence

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.http.problems import HostNotServed, problem
from app.core.observability.metrics import count_request
from app.core.server.ip_addresses import is_on_network, plain_address

SLOW_SECONDS = 1
"""From here on a request is a warning in the log, by its route."""
OF_THE_MACHINE = ("/health/", "/metrics")
"""What is asked of a machine, by whatever name or address it has, not of the service."""
NO_CONTENT = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For data, which no browser should run, frame or load anything for. A page brings a policy of its own."""
TLS_ONLY = (b"strict-transport-security", b"max-age=31536000")
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_UNLESS_SAID = ((b"cache-control", b"no-store"), (b"content-security-policy", NO_CONTENT))
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PORT = re.compile(r":\d*$")
_log = structlog.get_logger()


class RequestMiddleware:
    """A client's X-Request-ID is kept if it is plain, so that one id follows a call through systems.

    Where there are `trusted_hosts`, a request for another host is refused before anything else looks at it.
    `is_production` tells browsers that came over TLS to come over nothing else from then on. Unless the service
    `is_exposed` by its settings, a request that arrives at a network address is refused: `uvicorn app.main:app --host
    0.0.0.0` knows nothing of HOST, and the password of the first admin is published.
    """

    def __init__(self, app: ASGIApp, *, trusted_hosts: Sequence[str], is_production: bool, is_exposed: bool) -> None:
        self.app = app
        self._is_exposed = is_exposed
        self._trusted_hosts = frozenset(trusted_hosts)
        self._is_production = is_production

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(headers)
        state["status"] = 0
        is_complete = False
        is_tls_only = self._is_production and scope["scheme"] == "https"

        async def send_with_headers(message: Message) -> None:
            nonlocal is_complete
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                message["headers"] = [*message["headers"], *_added(message["headers"], request_id)]
                if is_tls_only:
                    message["headers"].append(TLS_ONLY)
            await send(message)

        try:
            if not self._is_exposed and is_on_network((scope.get("server") or ("",))[0]):
                refusal = HostNotServed("This service is set up for its own machine only. Set HOST to open it.")
                await problem(refusal, scope)(scope, receive, send_with_headers)
            elif self._trusted_hosts and not self._is_for_us(scope, headers):
                refusal = HostNotServed("This service has another name. Check the address.")
                await problem(refusal, scope)(scope, receive, send_with_headers)
            else:
                await self.app(scope, receive, send_with_headers)
        finally:
            _count_and_log(scope, time.perf_counter() - started, is_complete=is_complete)

    def _is_for_us(self, scope: Scope, headers: Headers) -> bool:
        named = headers.getlist("host")
        if scope["path"].startswith(OF_THE_MACHINE):
            return True
        return len(named) == 1 and _PORT.sub("", named[0].lower()) in self._trusted_hosts


def _count_and_log(scope: Scope, seconds: float, *, is_complete: bool) -> None:
    """Count the request, by its status or by how its answer broke off, and write its line to the log."""
    route, status = _route_of(scope), scope["state"]["status"]
    count_request(scope["method"], route, status if is_complete else "truncated" if status else "aborted", seconds)
    log = _log.warning if seconds >= SLOW_SECONDS else _log.info
    log(
        "request",
        request_id=scope["state"]["request_id"],
        user_id=scope["state"].get("user_id"),
        address=plain_address((scope.get("client") or ("", 0))[0]),
        method=scope["method"],
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
    )


def _request_id(headers: Headers) -> str:
    sent = headers.get("x-request-id", "")
    return sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)


def _added(headers: list[tuple[bytes, bytes]], request_id: str) -> Iterator[tuple[bytes, bytes]]:
    """What every answer says beside its own headers."""
    yield b"x-request-id", request_id.encode()
    yield from _ALWAYS
    said = {name for name, _ in headers}
    yield from (header for header in _UNLESS_SAID if header[0] not in said)


def _route_of(scope: Scope) -> str | None:
    """The route's pattern, not the path: a log of paths would be a log of who looked at whom."""
    return getattr(scope.get("route"), "path_format", None)

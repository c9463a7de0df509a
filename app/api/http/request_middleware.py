"""The request ID, host check, log event and common headers of every request."""

import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.http.problems import HostNotServed, problem_response
from app.core.config.local_hosts import is_local_host_header
from app.core.observability.metrics import count_request
from app.core.server.ip_addresses import is_non_loopback_address, normalize_address

SLOW_SECONDS = 1
"""A request that takes at least this long is logged as a warning."""
INFRASTRUCTURE_PATHS = ("/health/", "/metrics")
"""Paths that accept any host if other machines may reach the service. Probes and Prometheus call each machine by its
own name or address."""
DATA_CSP = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For API responses, which a browser must not run or frame. The documentation pages set a policy of their own."""
HSTS_HEADER = (b"strict-transport-security", b"max-age=31536000")
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_DEFAULT_HEADERS = ((b"cache-control", b"no-store"), (b"content-security-policy", DATA_CSP))
_PROXY_HEADERS = frozenset({b"forwarded", b"via", b"x-real-ip"})
_PROXY_HEADER_PREFIX = b"x-forwarded-"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PORT = re.compile(r":\d*$")
_log = structlog.get_logger()


class RequestMiddleware:
    """Assign the request ID, check the host, add common headers, and count and log the request.

    `path_prefix` is put in front of the paths in responses, unless the proxy names another one.

    A HEAD request is handled as the GET request for the same URL, and its response is sent without the body.

    A client's X-Request-ID of 1 to 64 plain characters is kept, so that one ID can be traced through several systems.
    If there are `trusted_hosts`, a request for another host is rejected first. With `is_production`, responses over
    TLS have the Strict-Transport-Security header.

    Unless `is_exposed`, only requests of this machine are accepted, because the first admin's default password is
    public. A network address rejects a request to `uvicorn app.main:app --host 0.0.0.0`, which does not read HOST. A
    proxy's header rejects a request from elsewhere. The host rejects a page that points its own name at this service's
    address (DNS rebinding).
    """

    def __init__(
        self, app: ASGIApp, *, trusted_hosts: Sequence[str], path_prefix: str, is_production: bool, is_exposed: bool
    ) -> None:
        self.app = app
        self._is_exposed = is_exposed
        self._path_prefix = path_prefix
        self._trusted_hosts = frozenset(trusted_hosts)
        self._is_production = is_production

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started_at = time.perf_counter()
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = _choose_request_id(headers)
        state["status"] = 0
        state["response_headers"] = {}  # of any response to this request, unless it sets the same header itself
        state.setdefault("path_prefix", self._path_prefix)
        state["is_head"] = is_head = scope["method"] == "HEAD"
        inner_scope = {**scope, "method": "GET"} if is_head else scope
        is_complete = False
        needs_hsts = self._is_production and scope["scheme"] == "https"

        async def send_with_headers(message: Message) -> None:
            nonlocal is_complete
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                message["headers"] = [*message["headers"], *_extra_headers(message["headers"], state)]
                if needs_hsts:
                    message["headers"].append(HSTS_HEADER)
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            if reason := self._reject_reason(scope, headers):
                await problem_response(HostNotServed(reason), scope)(scope, receive, send_with_headers)
            else:
                await self.app(inner_scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started_at
            _count_and_log(scope["method"], inner_scope, seconds, is_complete=is_complete)

    def _reject_reason(self, scope: Scope, headers: Headers) -> str | None:
        """Return why the request must not be served here and what to do, or None if it may be served."""
        hosts = headers.getlist("host")
        host = _PORT.sub("", hosts[0].lower()) if len(hosts) == 1 else ""
        is_infrastructure = scope["path"].startswith(INFRASTRUCTURE_PATHS)
        if not self._is_exposed:
            if any(name in _PROXY_HEADERS or name.startswith(_PROXY_HEADER_PREFIX) for name, _ in scope["headers"]):
                return "A proxy forwarded this request. This service accepts local requests only. Set TRUSTED_PROXIES."
            if any(is_non_loopback_address((scope.get(end) or ("",))[0]) for end in ("server", "client")):
                return "This service accepts local requests only. Set HOST to accept others."
            if (is_infrastructure or not self._trusted_hosts) and hosts and not is_local_host_header(host):
                return "This service accepts requests for local hosts only. Set TRUSTED_HOSTS to accept others."
        if is_infrastructure or not self._trusted_hosts or host in self._trusted_hosts:
            return None
        return "The Host header names another service. Check the host name in the URL."


def _count_and_log(method: str, scope: Scope, seconds: float, *, is_complete: bool) -> None:
    """Count the request by its status, or as aborted or truncated, and write its log event."""
    route, status = _route_of(scope), scope["state"]["status"]
    count_request(method, route, status if is_complete else "truncated" if status else "aborted", seconds)
    log = _log.warning if seconds >= SLOW_SECONDS else _log.info
    log(
        "request",
        request_id=scope["state"]["request_id"],
        user_id=scope["state"].get("user_id"),
        address=normalize_address((scope.get("client") or ("", 0))[0]),
        method=method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
    )


def _choose_request_id(headers: Headers) -> str:
    client_id = headers.get("x-request-id", "")
    return client_id if _REQUEST_ID.fullmatch(client_id) else secrets.token_hex(8)


def _extra_headers(headers: list[tuple[bytes, bytes]], state: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers that every response has beside its own."""
    yield b"x-request-id", state["request_id"].encode()
    yield from _SECURITY_HEADERS
    names = {name for name, _ in headers}
    yield from (header for header in _DEFAULT_HEADERS if header[0] not in names)
    for name, value in state["response_headers"].items():
        if (raw_name := name.lower().encode()) not in names:
            yield raw_name, value.encode()


def _route_of(scope: Scope) -> str | None:
    """Return the route's pattern. Paths contain user ids, so the log would show whose data each user has read."""
    return getattr(scope.get("route"), "path_format", None)

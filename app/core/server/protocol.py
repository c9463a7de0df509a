"""uvicorn's HTTP protocol with limits against slow and abusive clients.

uvicorn 0.54 has no timeout for request headers and for clients that do not read the response. It limits neither the
size of headers nor the number of pipelined requests. On shutdown it closes idle connections at once.
"""

import asyncio
import socket
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES = 64 * 1024
MAX_PIPELINED = 100
DRAIN_SECONDS = 1
"""Seconds that idle connections stay open on shutdown, so that requests in transit still get a response."""
_TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class LimitedHttpProtocol(HttpToolsProtocol):
    """A connection with limits. It is closed in these cases:

    - the headers of a request are not complete HEADER_TIMEOUT_SECONDS after its first byte, or after the connect;
    - more than MAX_HEAD_BYTES of headers were received, checked after each read;
    - more than MAX_PIPELINED requests are queued behind the current one;
    - the client acknowledges no data of the response for RESPONSE_WRITE_TIMEOUT_SECONDS (Linux only);
    - the worker process already has MAX_CONNECTIONS, or half of them from one network: the response is 503, and no
      request is read.
    """

    _pending_bytes = 0
    _cycles: Sequence[RequestResponseCycle] = ()
    """The current request and the pipelined ones behind it."""
    _is_stopping = False

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        runtime = self.config.loaded_app.state.runtime
        self._settings, self._limiter = runtime.settings, runtime.connection_limiter
        self._address = None if self.client is None else self.client[0]
        self._start_head_timer()
        self._is_counted = self._limiter.open(self._address)
        if not self._is_counted:
            transport.write(_TOO_MANY_CONNECTIONS)
            transport.close()
        elif hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = self._settings.RESPONSE_WRITE_TIMEOUT_SECONDS * 1000
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.cancel()
        if self._is_counted:
            self._limiter.close(self._address)
        for cycle in self._cycles:  # uvicorn notifies only the last one, which may be queued
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer.cancelled() and self._is_idle:
            self._start_head_timer()
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES or len(self.pipeline) > MAX_PIPELINED:
            if self._is_idle:  # otherwise the 400 would be mixed into another response
                self.send_400_response("The request headers are too large.")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head_timer.cancel()
        self._pending_bytes = 0
        super().on_headers_complete()
        self._cycles = [*(each for each in self._cycles if not each.response_complete), self.cycle]
        self.headers = []  # a new list: uvicorn would append trailers to the headers of the application
        if self._is_stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._pending_bytes = 0
        super().on_body(body)

    def shutdown(self) -> None:
        """Close the connection after its next response, or after DRAIN_SECONDS without a request."""
        self._is_stopping = True
        if self._is_idle:
            self.loop.call_later(DRAIN_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self._settings.HEADER_TIMEOUT_SECONDS, self.transport.close)

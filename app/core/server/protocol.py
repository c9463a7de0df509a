"""uvicorn's HTTP protocol with limits. uvicorn 0.54 waits without end for the head of a request and for a client that
doesn't read its answer, bounds neither a head nor a pipeline, and closes idle connections at once when it stops."""

import asyncio
import socket
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES = 64 * 1024
MAX_PIPELINED = 100
DRAIN_SECONDS = 1
"""How long idle connections stay open when the service stops: requests that are on their way are still answered."""
_TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class LimitedHttpProtocol(HttpToolsProtocol):
    """A connection that is closed when

    - the head of a request isn't complete HEADER_TIMEOUT_SECONDS after its first byte, or after the connection's start;
    - more than MAX_HEAD_BYTES, counted after each read, came since the last head or byte of a body;
    - more than MAX_PIPELINED requests wait behind the one that is being answered;
    - the client acknowledges nothing of its answer for RESPONSE_WRITE_TIMEOUT_SECONDS (Linux only);
    - the worker has MAX_CONNECTIONS already: it gets 503, and nothing of it is read.
    """

    _pending_bytes = 0
    _cycles: Sequence[RequestResponseCycle] = ()
    """Requests that are answered, or wait for it."""
    _is_stopping = False

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._settings = self.config.loaded_app.state.runtime.settings
        self._start_head_timer()
        if len(self.connections) > self._settings.MAX_CONNECTIONS:
            transport.write(_TOO_MANY_CONNECTIONS)
            transport.close()
        elif hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = self._settings.RESPONSE_WRITE_TIMEOUT_SECONDS * 1000
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.cancel()
        for cycle in self._cycles:  # uvicorn tells the last one only, which may wait behind the one that is answered
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer.cancelled() and self._is_idle:
            self._start_head_timer()
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES or len(self.pipeline) > MAX_PIPELINED:
            if self._is_idle:  # else a 400 would be mixed with another answer
                self.send_400_response("The head of the request is too large.")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head_timer.cancel()
        self._pending_bytes = 0
        super().on_headers_complete()
        self._cycles = [*(each for each in self._cycles if not each.response_complete), self.cycle]
        self.headers = []  # takes the trailers, which uvicorn would add to the headers that the application has
        if self._is_stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._pending_bytes = 0
        super().on_body(body)

    def shutdown(self) -> None:
        """Close the connection after its next answer, or after DRAIN_SECONDS where nothing is asked."""
        self._is_stopping = True
        if self._is_idle:
            self.loop.call_later(DRAIN_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self._settings.HEADER_TIMEOUT_SECONDS, self.transport.close)

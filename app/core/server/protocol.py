"""Connections that nobody holds for nothing.

uvicorn waits for the head of a request, and for a client that doesn't read its answer, as long as they please, bounds
no head, and at its end closes idle connections under requests that are on their way.
"""

import asyncio
import socket
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MAX_HEAD_BYTES = 64 * 1024
FRAMING_OF_A_BYTE = 8
"""What may come beside each byte of a body: it may be sent in chunks of one byte, which take five more each."""
ENDING_SECONDS = 1
"""How long idle connections stay open when the service stops: who uses one is answered, and told to close it."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's, and four limits: HEADER_TIMEOUT_SECONDS until a head is there, counted from its first byte or from the
    connection's start; MAX_HEAD_BYTES of it, and of what comes around and behind a body; SEND_TIMEOUT_SECONDS in which
    a client takes nothing of its answer; MAX_CONNECTIONS of a worker, beyond which they are turned away unread."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings = config.loaded_app.state.runtime.settings
        self._head_timer: asyncio.TimerHandle | None = None
        self._framing_bytes = 0
        self._body_bytes = 0
        self._has_ended = False
        self._is_in_head = False
        self._is_ending = False

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._settings.MAX_CONNECTIONS:
            transport.write(_FULL)
            transport.close()
            return
        _end_when_unread(transport, self._settings.SEND_TIMEOUT_SECONDS)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is None and self._is_idle:
            self._await_head()
        before, self._has_ended = self._framing_bytes, False
        self._framing_bytes += len(data)
        super().data_received(data)
        if self._has_ended:  # what is left may be of the next request
            self._framing_bytes -= before
        if self._framing_bytes > MAX_HEAD_BYTES + FRAMING_OF_A_BYTE * self._body_bytes:
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._body_bytes = 0
        self._is_in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:  # else it is a trailer, which would end up among the headers
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._framing_bytes -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_ended = True
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()
        if self._is_ending:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The service stops: what is asked now is the connection's last request."""
        self._is_ending = True
        if self._is_idle:
            self.loop.call_later(ENDING_SECONDS, self._close_unless_asked)
        else:
            super().shutdown()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._settings.HEADER_TIMEOUT_SECONDS, self._close_if_idle)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        self._is_in_head = False
        if self._is_idle:
            self.send_400_response("The head of the request is too large.")
        else:  # an answer is on its way, and must not be mixed with another
            self.transport.close()

    def _close_if_idle(self) -> None:
        if self._is_idle:
            self.transport.close()

    def _close_unless_asked(self) -> None:
        if not self._is_in_head:
            self._close_if_idle()


def _end_when_unread(transport: asyncio.Transport, seconds: int) -> None:
    """Let the system end the connection when nothing that was sent is taken for so long; only Linux can."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)

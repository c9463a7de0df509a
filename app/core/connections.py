"""Connections of HTTP/1.1 whose process ends: none of them loses a request."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_SECONDS = 1.0
"""How long a connection that idles waits for one more request when its process ends."""


class LingeringConnection(HttpToolsProtocol):
    """Once the process is to end, it says in its next answer that it was the last, and closes behind it.

    uvicorn closes a connection that idles at once, also where the next request has been sent and not read yet, which
    then gets no answer. A process under load has such connections at any moment.
    """

    _is_ending = False
    _head_began = False

    def on_message_begin(self) -> None:
        self._head_began = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_began = False
        if self._is_ending:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Called by the server when the process is to end."""
        self._is_ending = True
        if self._idles():
            self.loop.call_later(LINGER_SECONDS, self._close_if_idle)
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._idles():
            self.transport.close()

    def _idles(self) -> bool:
        return not self._head_began and (self.cycle is None or self.cycle.response_complete)

"""A real server for a test: uvicorn on a free port in a thread, so that what is tested is HTTP."""

import asyncio
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.routing import BaseRoute
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.core.config.settings import Settings
from app.core.database.session import Database
from app.core.observability.logging import configure_logging
from app.core.security.access_tokens import TokenSigner
from app.core.server.protocol import LimitedHttpProtocol
from app.core.time.clock import utc_now
from app.main import API_PREFIX, create_app
from app.models.users import User
from tests.support.audit_asserts import RowSnapshot
from tests.support.credentials import create_login_session
from tests.support.secret_scan import SECRET_ISSUING_PATHS, assert_no_secrets

PROBLEM = "application/problem+json"
Operation = dict[str, Any]


_TLS = ssl.create_default_context()  # httpx makes one for each client, 30 ms a time, and none of ours needs it


class _UvicornServer(uvicorn.Server):
    """Says when it listens and ends when told to, so that nobody has to poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._stop_requested = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._stop_requested.wait()

    def request_stop(self) -> None:
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._stop_requested.set)

    async def startup(self, sockets: Any = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.is_listening.set()

    async def shutdown(self, sockets: Any = None) -> None:
        """As uvicorn does, without the tenth of a second that it gives connections to close: each test would wait."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            HttpToolsProtocol.shutdown(connection)  # ours lets idle ones stay for a second
        await asyncio.sleep(0)  # those that idled are gone now
        await self._wait_tasks_to_complete()
        await self.lifespan.shutdown()


class Server:
    """A running service on a database of its own, and the way to call it as somebody."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app: FastAPI = create_app(settings)
        _share_routes(self.app)
        self._routes = list(self.app.router.routes)
        self.tasks: set[asyncio.Task[None]] = set()
        """Requests under way."""
        self.database = Database(settings)
        self._signer = TokenSigner(settings)
        self.base_url = ""
        self.loop: asyncio.AbstractEventLoop | None = None

    def token(self, user: User) -> str:
        """An access token as a login gives it."""
        login_session = create_login_session(self.database, user)
        return self._signer.sign(login_session.user_id, login_session.session_id, at=utc_now())

    def settle(self) -> None:
        """Wait for what the service does behind its answers."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self.app.state.runtime.wait_for_background(), self.loop).result(20)

    def reset(self) -> None:
        """Be as after the start, and log to what is captured now: a command that ran before closed its own log."""
        configure_logging(as_json=self.settings.logs_json)
        self.app.dependency_overrides.clear()
        self.app.router.routes[:] = self._routes

    def wait_until_idle(self) -> None:
        """Wait for all that is under way."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self._wait_for_tasks(), self.loop).result(20)
        self.settle()

    async def _wait_for_tasks(self) -> None:
        while self.tasks:
            await asyncio.wait(self.tasks)

    def caller(self, token: str | None = None, **options: Any) -> "Caller":
        return Caller(self, token, **options)

    def operation(self, method: str, path: str) -> Operation | None:
        """What the document says of a request; None where it knows no such operation."""
        for pattern, methods in _operations():
            if pattern.fullmatch(path) and method.lower() in methods:
                return methods[method.lower()]
        return None


def _share_routes(app: FastAPI) -> None:
    """Let the app have its routers as all apps of this process have them. FastAPI works out what an operation needs at
    the first request to come by it, for each app anew: for some twenty, that takes as long as many a test."""
    shared = _included_routers()
    app.router.routes[:] = [
        shared.get(id(getattr(route, "original_router", None)), route) for route in app.router.routes
    ]


@cache
def _included_routers() -> dict[int, BaseRoute]:
    """What FastAPI makes of each router, by the router's identity. It is the same under all settings."""
    routes = create_app(Settings.model_construct()).router.routes
    return {id(route.original_router): route for route in routes if hasattr(route, "original_router")}


@cache
def _operations() -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    """Every path of the document as a pattern, those without parameters first, with its operations by method."""
    document = create_app(Settings.model_construct()).openapi()  # the same under all settings
    paths = sorted(document["paths"].items(), key=lambda item: "{" in item[0])
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods) for path, methods in paths]


class Caller(httpx.Client):
    """An HTTP client who checks every answer: no surprise 5xx, every error a problem that the document announces, and
    every success in the record."""

    _snapshot: RowSnapshot | None = None

    def __init__(self, server: Server, token: str | None, **options: Any) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        super().__init__(
            base_url=f"{server.base_url}{API_PREFIX}",
            headers=headers,
            timeout=30,
            verify=_TLS,
            event_hooks={"request": [self._take_snapshot], "response": [self._check, self._compare_snapshot]},
            **options,
        )
        self._server = server

    def at_root(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call an address outside /api/v1."""
        return self.request(method, f"{self._server.base_url}{path}", **options)

    def clock_in(self, project_id: int, description: str = "", **params: Any) -> httpx.Response:
        return self.post(
            "/time-entries/clock-in", json={"project_id": project_id, "description": description}, params=params
        )

    def clock_out(self) -> httpx.Response:
        return self.post("/time-entries/clock-out")

    def _take_snapshot(self, request: httpx.Request) -> None:
        changes = request.method in {"POST", "PUT", "PATCH", "DELETE"}
        self._snapshot = RowSnapshot(self._server.database) if changes else None

    def _compare_snapshot(self, response: httpx.Response) -> None:
        """Every success that changes something left exactly one event per changed subject (rules: R1)."""
        if self._snapshot is not None and response.is_success:
            mismatch = self._snapshot.mismatch(is_bulk=response.request.url.path.endswith("/bulk"))
            assert mismatch is None, f"{response.request.method} {response.request.url}: {mismatch}"

    def _check(self, response: httpx.Response) -> None:
        assert response.headers["X-Request-ID"]
        assert response.status_code not in {500, 501, 502}, response.read()
        if "content-length" in response.headers and not SECRET_ISSUING_PATHS.search(response.request.url.path):
            assert_no_secrets(response.read().decode(errors="replace"), f"the answer of {response.request.url.path}")
        if response.status_code < 400:
            return
        response.read()
        assert response.headers["Content-Type"] == PROBLEM, response.text
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["request_id"] == response.headers["X-Request-ID"]
        operation = self._server.operation(response.request.method, response.request.url.path)
        if operation is not None:
            documented = operation["responses"].get(str(response.status_code), {}).get("content", {}).get(PROBLEM, {})
            assert problem["code"] in documented.get("examples", {}), (
                f"{problem['code']} is not in the document of {response.request.url}"
            )


@contextmanager
def run_server(settings: Settings) -> Iterator[Server]:
    """A server on these settings that answers until the block ends."""
    server = Server(settings)
    options = {"log_config": None, "access_log": False, "proxy_headers": False, "lifespan": "on"}
    config = uvicorn.Config(server.app, host="127.0.0.1", port=0, http=LimitedHttpProtocol, ws="none", **options)
    uvicorn_server = _UvicornServer(config)
    thread = threading.Thread(target=uvicorn_server.run, name="server")
    thread.start()
    try:
        assert uvicorn_server.is_listening.wait(20), "the server did not start"
        port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
        server.base_url, server.loop = f"http://127.0.0.1:{port}", uvicorn_server.loop
        server.tasks = uvicorn_server.server_state.tasks
        yield server
    finally:
        uvicorn_server.request_stop()
        thread.join(20)
        server.database.close()
    assert not thread.is_alive()

"""A real uvicorn server in a thread on a free port, so that tests use HTTP."""

import asyncio
import json
import os
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
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
OPENAPI_FILE = "TEST_OPENAPI_FILE"
"""Environment variable with the file of the OpenAPI document, which takes a process a second to build."""
Operation = dict[str, Any]


_TLS = ssl.create_default_context()  # httpx would create one per client, which takes 30 ms; no test uses TLS here


class _UvicornServer(uvicorn.Server):
    """A uvicorn server with events for start and stop, so that tests need not poll."""

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
        """Shut down like uvicorn, but without its wait of 0.1 s for connections to close."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            HttpToolsProtocol.shutdown(connection)  # our protocol keeps idle connections open for a second
        await asyncio.sleep(0)  # let the transports of idle connections close
        await self._wait_tasks_to_complete()
        await self.lifespan.shutdown()


class Server:
    """A running service on its own database, with clients for its users."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app: FastAPI = create_app(settings)
        _share_routes(self.app)
        self.app.openapi_schema = openapi_document()
        self._routes = list(self.app.router.routes)
        self.tasks: set[asyncio.Task[None]] = set()
        """The number of requests in progress."""
        self.database = Database(settings)
        self._signer = TokenSigner(settings)
        self.base_url = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._snapshot: RowSnapshot | None = None

    def token(self, user: User, *, is_recorded: bool = False) -> str:
        """Return an access token for the user. If `is_recorded` is true, record the login, as the service does."""
        login_session = create_login_session(self.database, user, is_recorded=is_recorded)
        return self._signer.sign(login_session.user_id, login_session.session_id, at=utc_now())

    def wait_for_background(self) -> None:
        """Wait until the service has finished its background tasks."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self.app.state.runtime.wait_for_background(), self.loop).result(20)

    def snapshot(self) -> RowSnapshot:
        """Return a snapshot of the business tables: the last one if nothing was committed since."""
        if self._snapshot is None or not self._snapshot.is_current:
            self._snapshot = RowSnapshot(self.database)
        return self._snapshot

    def reset(self) -> None:
        """Reset the state to that after the start.

        Log to the output captured now, because an earlier command closed its log stream.
        """
        configure_logging(as_json=self.settings.logs_json)
        self._snapshot = None
        # It remembers which sessions were rejected, and the ids of sessions begin at 1 again in each test.
        self.app.state.runtime.signer = TokenSigner(self.settings)
        self.app.dependency_overrides.clear()
        self.app.router.routes[:] = self._routes

    def wait_until_idle(self) -> None:
        """Wait until all requests and background tasks have ended."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self._wait_for_tasks(), self.loop).result(20)
        self.wait_for_background()

    async def _wait_for_tasks(self) -> None:
        while self.tasks:
            await asyncio.wait(self.tasks)

    def caller(self, token: str | None = None, **options: Any) -> "Caller":
        return Caller(self, token, **options)

    def operation(self, method: str, path: str) -> Operation | None:
        """Return the operation of the OpenAPI document for a request, or None if there is none."""
        return _find_operation(method.lower(), path)


def _share_routes(app: FastAPI) -> None:
    """Share the included routers between all apps of this process.

    FastAPI prepares an operation at its first request, once per app. For some twenty operations this takes as long as
    many tests.
    """
    shared = _included_routers()
    app.router.routes[:] = [
        shared.get(id(getattr(route, "original_router", None)), route) for route in app.router.routes
    ]


@cache
def _included_routers() -> dict[int, BaseRoute]:
    """Return FastAPI's included routers by the identity of the router. They do not depend on the settings."""
    routes = create_app(Settings.model_construct()).router.routes
    return {id(route.original_router): route for route in routes if hasattr(route, "original_router")}


@cache
def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document, built once per run. It does not depend on the settings."""
    if file := os.environ.get(OPENAPI_FILE):
        document: dict[str, Any] = json.loads(Path(file).read_text())
        return document
    return create_app(Settings.model_construct()).openapi()


def share_openapi_document(folder: Path) -> None:
    """Build the OpenAPI document for this process and for those that it starts."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(openapi_document()))
    os.environ[OPENAPI_FILE] = str(file)


def documented_codes(operation: Operation, status: int) -> set[str]:
    """Return the error codes that the document lists for a status of an operation: its own and the shared ones."""
    shared_name = operation["responses"][f"{status // 100}XX"]["$ref"].rpartition("/")[2]
    shared = openapi_document()["components"]["responses"][shared_name]
    own = operation["responses"].get(str(status), {})
    return {
        code
        for response in (own, shared)
        for code, example in response.get("content", {}).get(PROBLEM, {}).get("examples", {}).items()
        if example["value"]["status"] == status
    }


@cache
def _find_operation(method: str, path: str) -> Operation | None:
    return next(
        (methods[method] for pattern, methods in _operations() if method in methods and pattern.fullmatch(path)), None
    )


@cache
def _operations() -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    """Return the operations by path pattern and method; paths without parameters come first."""
    paths = sorted(openapi_document()["paths"].items(), key=lambda item: "{" in item[0])
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods) for path, methods in paths]


class Caller(httpx.Client):
    """An HTTP client that checks every response.

    It rejects unexpected 5xx responses, errors that the OpenAPI document doesn't list, and changes without an audit
    event.
    """

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
        """Send a request to a path outside /api/v1."""
        return self.request(method, f"{self._server.base_url}{path}", **options)

    def clock_in(self, project_id: int, description: str = "", **params: Any) -> httpx.Response:
        return self.post(
            "/time-entries/clock-in", json={"project_id": project_id, "description": description}, params=params
        )

    def clock_out(self) -> httpx.Response:
        return self.post("/time-entries/clock-out")

    def _take_snapshot(self, request: httpx.Request) -> None:
        changes = request.method in {"POST", "PUT", "PATCH", "DELETE"}
        self._snapshot = self._server.snapshot() if changes else None

    def _compare_snapshot(self, response: httpx.Response) -> None:
        """Check that a successful change wrote exactly one audit event per changed subject (rules: R1)."""
        if self._snapshot is not None and response.is_success:
            mismatch = self._snapshot.mismatch()
            assert mismatch is None, f"{response.request.method} {response.request.url}: {mismatch}"

    def _check(self, response: httpx.Response) -> None:
        assert response.headers["X-Request-ID"]
        assert response.status_code not in {500, 501, 502}, response.read()
        if "content-length" in response.headers and not SECRET_ISSUING_PATHS.search(response.request.url.path):
            assert_no_secrets(response.read().decode(errors="replace"), f"the response to {response.request.url.path}")
        if response.status_code < 400 or response.request.method == "HEAD":
            return
        response.read()
        assert response.headers["Content-Type"] == PROBLEM, response.text
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["request_id"] == response.headers["X-Request-ID"]
        operation = self._server.operation(response.request.method, response.request.url.path)
        if operation is not None:
            assert problem["code"] in documented_codes(operation, response.status_code), (
                f"{problem['code']} is not documented for {response.request.url}"
            )


@contextmanager
def run_server(settings: Settings) -> Iterator[Server]:
    """Run a server with these settings until the block ends."""
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

"""Requests that wait for a lock which the test holds, so that something else happens before they continue."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import text

from app.models.users import User
from tests.support.concurrency import Call
from tests.support.databases import POSTGRESQL
from tests.support.in_process_server import Server

TIMEOUT_SECONDS = 10


def build_call(server: Server, user: User, method: str, path: str, body: Any = None, **ids: int) -> Call:
    """Build a request of a user. `ids` replace the names in braces in the path, which may have a query."""
    header = {"Authorization": f"Bearer {server.token(user)}"}
    path, _, query = path.format(**ids).partition("?")
    return Call(method, f"{server.base_url}/api/v1{path}", header, body, dict(parse_qsl(query)))


def count_waiting(server: Server, engine: str) -> int:
    """Return the number of requests that wait for a lock. On SQLite they wait for the writer permit of the service."""
    if engine == POSTGRESQL:
        with server.database.read_transaction() as session:
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            return int(session.execute(text(f"{blocked} AND wait_event_type = 'Lock'")).scalar_one())
    writers = server.app.state.runtime.request_limiter._writer_permits
    return int(writers.locked()) + len(writers._waiters or ())


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds. Fails after TIMEOUT_SECONDS."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.01)

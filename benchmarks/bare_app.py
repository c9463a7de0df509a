"""Upper bound of this machine: the SQL of a punch and of a month behind plain Starlette, and a `/hello`.

It has no FastAPI, no login sessions and no audit log. The path contains the user id. A punch still locks the user, and
reads the open entry and the project before it writes. The app uses a copy of the service's tables in the database of
BARE_DB_URL.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio.to_thread
import pydantic_core
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its name
from psycopg2.pool import ThreadedConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

THREADS = 4
STATE = """
    SELECT person.is_active, open_entry.id, open_entry.start_time, project.is_active
    FROM "user" AS person
    LEFT JOIN time_entry AS open_entry ON open_entry.user_id = person.id AND open_entry.end_time IS NULL
    LEFT JOIN project ON project.id = %s
    WHERE person.id = %s FOR NO KEY UPDATE OF person
"""
CLOCK_IN = """
    INSERT INTO time_entry (user_id, project_id, start_time, description, time_zone, needs_review, version, created_at,
        updated_at)
    VALUES (%s, %s, date_trunc('second', now()), %s, 'UTC', false, 1, date_trunc('second', now()),
        date_trunc('second', now()))
    RETURNING id, start_time
"""
CLOCK_OUT = """
    UPDATE time_entry SET end_time = date_trunc('second', now()), version = version + 1,
        updated_at = date_trunc('second', now())
    WHERE id = %s RETURNING id, start_time, end_time
"""
OWN_ENTRIES = """
    SELECT entry.id, entry.user_id, entry.project_id, entry.start_time, entry.end_time, entry.description,
        entry.time_zone, entry.needs_review, entry.version, entry.created_at, entry.updated_at, project.name,
        project.is_active
    FROM time_entry AS entry JOIN project ON project.id = entry.project_id
    WHERE entry.user_id = %s AND entry.start_time >= %s AND entry.start_time < %s::date + 1
    ORDER BY entry.start_time DESC, entry.id DESC
"""


class Pool:
    """One connection per thread, opened when the process starts."""

    def __init__(self) -> None:
        self._pool: ThreadedConnectionPool | None = None

    def open(self) -> None:
        self._pool = ThreadedConnectionPool(THREADS, THREADS, os.environ["BARE_DB_URL"])

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        assert self._pool is not None
        connection = self._pool.getconn()
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            self._pool.putconn(connection)


pool = Pool()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    pool.open()
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def clock_in(request: Request) -> Response:
    user, project = request.path_params["user"], request.path_params["project"]
    with pool.transaction() as cursor:
        cursor.execute(STATE, (project, user))
        is_active, open_id, _, project_is_active = cursor.fetchone() or (False, None, None, False)
        if not is_active or not project_is_active or open_id is not None:
            return _json({"open_id": open_id}, 409)
        cursor.execute(CLOCK_IN, (user, project, ""))
        entry_id, start = cursor.fetchone() or (None, None)
    return _json({"id": entry_id, "user_id": user, "project_id": project, "start_time": start, "end_time": None})


def clock_out(request: Request) -> Response:
    user = request.path_params["user"]
    with pool.transaction() as cursor:
        cursor.execute(STATE, (None, user))
        is_active, open_id, _, _ = cursor.fetchone() or (False, None, None, None)
        if not is_active or open_id is None:
            return _json({"open_id": open_id}, 409)
        cursor.execute(CLOCK_OUT, (open_id,))
        entry_id, start, end = cursor.fetchone() or (None, None, None)
    return _json({"id": entry_id, "user_id": user, "start_time": start, "end_time": end})


def own_entries(request: Request) -> Response:
    query = request.query_params
    with pool.transaction() as cursor:
        cursor.execute(OWN_ENTRIES, (request.path_params["user"], query["start_date"], query["end_date"]))
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return _json(rows)


def _json(content: Any, status: int = 200) -> Response:
    return Response(pydantic_core.to_json(content), status, media_type="application/json")


_starlette = Starlette(
    routes=[
        Route("/users/{user:int}/clock-in/{project:int}", clock_in, methods=["POST"]),
        Route("/users/{user:int}/clock-out", clock_out, methods=["POST"]),
        Route("/users/{user:int}/entries", own_entries),
    ],
    lifespan=lifespan,
)
_hello = PlainTextResponse("Hello")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Handle a request. `/hello` is handled first, without the database."""
    if scope["type"] == "http" and scope["path"] == "/hello":
        await _hello(scope, receive, send)
    else:
        await _starlette(scope, receive, send)

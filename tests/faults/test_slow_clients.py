"""Clients that send slowly, stall or never read hold no shared resource for long (threats F13)."""

import asyncio
import json
import resource
import socket
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlencode

import httpx
import psutil
import pytest
from fastapi import Request
from starlette.responses import StreamingResponse

from app.api.http.body_limits import BODY_BUDGET_BYTES, MAX_BODY_BYTES, SMALL_BODY_BYTES
from app.core.server.protocol import MAX_HEAD_BYTES
from tests.support.concurrency import Call, exchange, open_connection
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.export_files import LONG_DESCRIPTION, add_entries, becomes_true, spool_files
from tests.support.in_process_server import run_server
from tests.support.server_process import TLS, Backend

pytestmark = pytest.mark.slow
SLOW = 200
MIB = 1024  # in KiB, the unit of the kernel's memory figures
SECONDS = 30
URL, MARCH = "/reports/export/csv", {"start_date": "2026-03-01", "end_date": "2026-03-31"}
LOGIN = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"
)
BULK = LOGIN.replace(b"auth/login", b"time-entries/bulk")
WELCOME = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
WAITS = WELCOME.replace(b"/ ", b"/waits ", 1)
CHUNKED = WAITS[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def run_strict_server(db_url="sqlite:///unused.db", **settings):
    """Run a service with timeouts of a second or less."""
    limits = {"HEADER_TIMEOUT_SECONDS": 1, "BODY_TIMEOUT_SECONDS": 1, "RESPONSE_WRITE_TIMEOUT_SECONDS": 1}
    with run_server(settings_for(db_url, **limits | settings)) as server:
        yield server


def connect(server, *, source="127.0.0.1"):
    address = httpx.URL(server.base_url)
    return socket.create_connection((address.host, address.port), timeout=SECONDS, source_address=(source, 0))


def read_answer(client):
    """Read a JSON response. The body may arrive after the head."""
    received = client.recv(65536)
    while received and not received.endswith((b"}", b"]")):
        received += client.recv(65536)
    return received


def read_rest(client):
    """Read until the server closes or resets the connection."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            received += part
    return bytes(received)


async def _send_slowly(url):
    """Send a byte every 0.2 s until a response arrives. Returns its head and its body."""
    async with open_connection(url) as (reader, writer):
        writer.write(LOGIN)
        answer = asyncio.ensure_future(reader.readuntil(b"}"))
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=0.2)
        with suppress(ConnectionResetError):  # the server may have closed while a byte was sent
            assert await reader.read() == b""
        head, _, body = answer.result().partition(b"\r\n\r\n")
        return head, json.loads(body)


async def _call_meanwhile(calls, slow):
    """Send calls in sequence while the slow clients are connected. Returns the number of responses by status."""
    async with open_connection(calls[0].url) as connection:
        statuses = []
        while not slow.done():
            statuses += [(await exchange(call, *connection)).status_code for call in calls]
        return Counter(statuses)


async def _run_both(url, calls):
    slow = asyncio.gather(*(_send_slowly(url) for _ in range(SLOW)))
    others = await _call_meanwhile(calls, slow)
    return await slow, others


def test_two_hundred_who_dribble_their_bodies_get_408_and_keep_nobody_from_punching(people, db_url):
    ana, website = people.employee("Ana"), people.project("Website")
    with run_strict_server(db_url) as server:
        header = {"Authorization": f"Bearer {server.token(ana)}"}
        entries = f"{server.base_url}/api/v1/time-entries"
        body = {"project_id": website.id, "description": ""}
        calls = [Call("POST", f"{entries}/clock-in", header, body), Call("POST", f"{entries}/clock-out", header)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        answers, others = asyncio.run(_run_both(server.base_url, calls))

        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    for head, problem in answers:
        assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"\r\nconnection: close" in head.lower()
        assert problem["code"] == "request_timeout"
    assert others.keys() == {200}
    assert growth < 20 * MIB


def test_a_connection_without_a_whole_head_is_closed():
    """Clients send nothing, or stop in the request line, in a header, or in the head of a second request."""
    with run_strict_server() as server, ExitStack() as stack:
        silent, *others = (stack.enter_context(connect(server)) for _ in range(4))
        others[0].sendall(b"GET / HT")
        others[1].sendall(WELCOME[:-2])
        others[2].sendall(WELCOME)
        assert read_answer(others[2]).startswith(b"HTTP/1.1 200 ")
        others[2].sendall(WELCOME[:-2])

        assert [read_rest(client) for client in (silent, *others)] == [b""] * 4


def test_who_dribbles_a_head_or_a_body_that_nobody_reads_is_closed_too():
    """A server that only checks for activity would keep these connections, because each byte counts."""
    unread = WELCOME.replace(b"\r\n\r\n", b"\r\nContent-Length: 1000\r\n\r\n")
    with run_strict_server() as server, ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(2)]
        for client, problem in zip(clients, (WELCOME[:-2] + b"X-Long: ", unread), strict=True):
            client.sendall(problem)
            client.settimeout(0.2)

        assert all(_is_closed_despite_traffic(client) for client in clients)


def _is_closed_despite_traffic(client):
    """Return True if the server closes the connection although a byte arrives every 0.2 s."""
    for _ in range(SECONDS * 5):
        try:
            if not client.recv(65536):
                return True
        except TimeoutError:
            with suppress(BrokenPipeError):
                client.sendall(b"x")
        except ConnectionResetError:
            return True
    return False


def test_the_head_of_a_request_is_bounded():
    endless = WELCOME[:-2] + b"X-Long: "
    with run_strict_server(HEADER_TIMEOUT_SECONDS=600) as server:
        with connect(server) as client:
            client.sendall(endless + b"x" * (MAX_HEAD_BYTES - 1000) + b"\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        with connect(server) as client:
            client.sendall(endless + b"x" * MAX_HEAD_BYTES)
            assert read_rest(client).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("first_bytes", "more_bytes"),
    [
        (WAITS + WELCOME[:-2] + b"X-Long: ", b"x" * 1000),
        (WAITS, WELCOME * 400),  # in one segment, because the service stops reading when few are queued
        (CHUNKED + b"0\r\nX-Trailer: ", b"x" * 1000),
        (CHUNKED + b"1;", b"x" * 1000),
    ],
    ids=["a head", "requests", "a trailer", "a chunk extension"],
)
def test_so_is_what_comes_behind_one_that_is_being_answered(first_bytes, more_bytes):
    is_answered = asyncio.Event()
    with run_strict_server(HEADER_TIMEOUT_SECONDS=600, BODY_TIMEOUT_SECONDS=600) as server, connect(server) as client:
        server.app.add_api_route("/waits", is_answered.wait)

        client.sendall(first_bytes)
        with suppress(ConnectionError):
            for _ in range(10_000):
                client.sendall(more_bytes)

        assert read_rest(client) == b""
        server.loop.call_soon_threadsafe(is_answered.set)


def test_each_request_of_a_connection_has_a_head_of_its_own():
    request = WELCOME[:-2] + b"X-Long: " + b"x" * 8000 + b"\r\n\r\n"
    with run_strict_server(HEADER_TIMEOUT_SECONDS=600) as server, connect(server) as client:
        for _ in range(2 * MAX_HEAD_BYTES // len(request)):
            client.sendall(request)
            assert read_answer(client).startswith(b"HTTP/1.1 200 ")


def test_an_answer_may_take_longer_than_a_body_may():
    """While a response is sent, the application waits for a disconnect. The body timeout must not apply to that."""

    async def slow_answer() -> StreamingResponse:
        is_over = asyncio.Event()
        asyncio.get_running_loop().call_later(1.5, is_over.set)

        async def parts():
            yield b"["
            await is_over.wait()
            yield b"1]"

        return StreamingResponse(parts())

    with run_strict_server(RESPONSE_WRITE_TIMEOUT_SECONDS=600) as server:
        server.app.add_api_route("/slow", slow_answer, response_class=StreamingResponse)

        assert httpx.get(f"{server.base_url}/slow").json() == [1]


def test_a_request_with_another_behind_it_learns_that_its_client_left():
    """uvicorn reports a disconnect to the last pipelined request only."""
    has_learned = threading.Event()

    async def listens(request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        has_learned.set()

    with run_strict_server() as server:
        server.app.add_api_route("/waits", listens)
        with connect(server) as client:
            client.sendall(WAITS + WELCOME)

        assert has_learned.wait(SECONDS)


def test_trailers_are_no_headers():
    async def named(request: Request) -> list[str]:
        await request.body()
        return list(request.headers)

    with run_strict_server() as server, connect(server) as client:
        server.app.add_api_route("/waits", named)

        client.sendall(CHUNKED + b"0\r\nX-Trailer: x\r\n\r\n")

        assert read_answer(client).endswith(b'["host","transfer-encoding"]')


def test_a_request_behind_a_large_body_leaves_it_its_answer():
    body = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000
    with run_strict_server(HEADER_TIMEOUT_SECONDS=600) as server, connect(server) as client:
        client.sendall(body + b"GET / HT")

        assert read_answer(client).startswith(b"HTTP/1.1 405 ")
        client.sendall(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_who_never_reads_a_file_loses_the_connection_long_before_the_files_time_is_up(people, db_url, engine):
    mia, website, before = people.manager("Mia"), people.project("Website"), spool_files()
    with run_strict_server(db_url) as server, ExitStack() as stack:
        add_entries(
            server.database, people.employee("Ana", manager=mia), website.id, count=2500, description=LONG_DESCRIPTION
        )
        client = stack.enter_context(connect(server))
        request_head = (
            f"GET /api/v1{URL}?{urlencode(MARCH)} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {server.token(mia)}"
        )

        client.sendall(f"{request_head}\r\n\r\n".encode())

        assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert spool_files().keys() - before.keys()
        assert becomes_true(lambda: spool_files() == before)
        assert len(read_rest(client)) < 2500 * len(LONG_DESCRIPTION)


def test_a_worker_has_only_so_many_connections():
    with run_strict_server(MAX_CONNECTIONS=2, HEADER_TIMEOUT_SECONDS=600) as server, ExitStack() as stack:
        first, second, third = (stack.enter_context(connect(server, source=f"127.0.0.{n}")) for n in (1, 2, 3))

        assert read_rest(third).startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n")
        second.sendall(WELCOME)
        assert second.recv(65536).startswith(b"HTTP/1.1 200 ")
        first.close()
        assert becomes_true(lambda: _is_served(server))


def test_one_client_leaves_half_of_the_connections_to_others():
    with run_strict_server(MAX_CONNECTIONS=4, HEADER_TIMEOUT_SECONDS=600) as server, ExitStack() as stack:
        *_, last = [stack.enter_context(connect(server)) for _ in range(3)]
        ana, bob = (stack.enter_context(connect(server, source="127.0.0.2")) for _ in range(2))

        assert read_rest(last).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert _is_answered(ana)
        assert _is_answered(bob)


def test_a_trusted_proxy_may_have_all_connections():
    with (
        run_strict_server(MAX_CONNECTIONS=4, HEADER_TIMEOUT_SECONDS=600, TRUSTED_PROXIES=["127.0.0.0/24"]) as server,
        ExitStack() as stack,
    ):
        clients = [stack.enter_context(connect(server)) for _ in range(4)]

        assert all(_is_answered(client) for client in clients)


def _is_answered(client):
    client.sendall(WELCOME)
    return client.recv(65536).startswith(b"HTTP/1.1 200 ")


def _is_served(server):
    with connect(server) as client:
        client.sendall(WELCOME)
        with suppress(ConnectionResetError):
            return client.recv(65536).startswith(b"HTTP/1.1 200 ")
    return False


def test_who_asks_for_a_web_socket_gets_what_everybody_gets():
    with run_strict_server() as server:
        answer = httpx.get(server.base_url, headers={"Connection": "Upgrade", "Upgrade": "websocket"})

    assert answer.status_code == 200


def _stall(server, stack, size=1024 * 1024):
    """Announce a body and send a part of it that is too large for the free buffer of a connection."""
    client = stack.enter_context(connect(server))
    client.sendall(BULK.replace(b"1000", str(size).encode()) + b"x" * (SMALL_BODY_BYTES // 2))
    return client


def _post_large_body(server):
    """Send a body of the maximum size, and return the status. The body is read before the credential is missed."""
    url, body = f"{server.base_url}/api/v1/time-entries/bulk", b"x" * MAX_BODY_BYTES
    return httpx.post(url, content=body, timeout=SECONDS).status_code


def test_large_bodies_that_stall_leave_room_for_small_ones_and_are_turned_away_in_the_end():
    """A body that is small needs no permit. Large ones that wait for one too long get 503."""
    with run_strict_server(BODY_TIMEOUT_SECONDS=2) as server, ExitStack() as stack:
        stalled = [_stall(server, stack) for _ in range(40)]
        small = httpx.post(f"{server.base_url}/api/v1/auth/login", data={"password": "x"})

        answers = Counter(read_answer(client).split(b" ")[1] for client in stalled)

    assert small.status_code == 422
    assert answers.keys() == {b"408", b"503"}


def test_a_large_body_waits_until_one_that_stalls_is_given_up():
    with run_strict_server(BODY_TIMEOUT_SECONDS=2) as server, ExitStack() as stack:
        stalled = [_stall(server, stack) for _ in range(BODY_BUDGET_BYTES // MAX_BODY_BYTES // 2)]
        whole = _post_large_body(server)

        assert whole == 401
        assert {read_answer(client).split(b" ")[1] for client in stalled} == {b"408"}


def test_clients_that_leave_in_the_middle_of_a_large_body_leave_room_for_the_next_one():
    """A network has half of the permits, so two groups of clients could keep all of them."""
    statuses = []
    with run_strict_server(BODY_TIMEOUT_SECONDS=5) as server:
        for _ in range(2):
            for _ in range(BODY_BUDGET_BYTES // MAX_BODY_BYTES // 2):
                with ExitStack() as stack:
                    _stall(server, stack)
            statuses.append(_post_large_body(server))

    assert statuses == [401, 401]


def test_unfinished_bodies_of_many_clients_do_not_fill_the_memory(tmp_path):
    backend = Backend(f"sqlite:///{tmp_path / 'time.db'}", tmp_path)
    process = psutil.Process(backend.pid)
    address = httpx.URL(backend.base_url)
    head = BULK.replace(b"1000", str(MAX_BODY_BYTES).encode())

    def megabytes():
        return sum(each.memory_full_info().uss for each in (process, *process.children(recursive=True))) / 1024**2

    before = megabytes()
    with ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(socket.create_connection((address.host, address.port), timeout=1))
            with suppress(TimeoutError):  # the service does not read all of it, and the kernel may not hold the rest
                client.sendall(head + b"x" * (MAX_BODY_BYTES - 1))
        url = f"{backend.base_url}/health/ready"
        ready = {httpx.get(url, verify=TLS).status_code for _ in range(20)}  # it reads meanwhile
        growth = megabytes() - before
    backend.stop()

    assert ready == {200}
    assert growth < 100

"""`check_backend.py` against healthy, failing, unknown and silent servers prints one line and never a traceback."""

import ast
import json
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import text

from app import __version__
from app.core.database.migrations import ROOT, head_revision
from tests.support.cli import clean_environment

COMMAND = [sys.executable, "-I", "-S", str(ROOT / "check_backend.py")]
HEALTHY = {"status": "ok", "service": "employee-time-tracking-api"}
Responder = Callable[[socket.socket, threading.Event], object]


class _StubServer(socketserver.ThreadingTCPServer):
    """A server that reads a request and responds as the test defines; `requests` holds the first lines."""

    daemon_threads = True

    def __init__(self, respond: Responder) -> None:
        self.respond, self.requested, self.stopped = respond, threading.Event(), threading.Event()
        self.requests: list[str] = []
        super().__init__(("127.0.0.1", 0), _StubHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _StubHandler(socketserver.StreamRequestHandler):
    server: _StubServer

    def handle(self) -> None:
        self.server.requests.append(self.rfile.readline().decode().strip())
        while self.rfile.readline().strip():
            pass
        self.server.requested.set()
        with suppress(OSError):
            self.server.respond(self.request, self.server.stopped)


@contextmanager
def stub(respond: Responder | bytes) -> Iterator[_StubServer]:
    """Run a server that sends the given bytes or calls the given function."""
    answer = respond
    with _StubServer(respond if callable(respond) else lambda client, _stopped: client.sendall(answer)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


def http(status: int, body: str | bytes, *headers: str) -> bytes:
    sent = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(sent)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + sent


def check(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the script as an operator does, in a Python without packages."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30, **options)


def error_line(result: subprocess.CompletedProcess[str], *, code: int = 1) -> str:
    """Return the one error line."""
    assert (result.returncode, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    return line


def test_a_healthy_backend_tells_its_version_database_and_revision(server, engine):
    result = check("--url", server.base_url)

    assert (result.returncode, result.stderr) == (0, "")
    expected = f"version {__version__}, database {engine}, revision {head_revision()}"
    assert result.stdout == f"Backend is running! {expected}\n"


def test_a_backend_behind_a_path_is_found():
    with stub(http(200, json.dumps(HEALTHY))) as proxy:
        assert check("--url", f"{proxy.url}/time/").returncode == 0

        assert proxy.requests == ["GET /time/health/ready HTTP/1.1"]


@pytest.mark.parametrize("host", ["", "127.0.0.1", "0.0.0.0", "localhost"])
def test_a_backend_is_found_at_the_host_and_port_that_it_takes_from_the_environment(host):
    with stub(http(200, json.dumps(HEALTHY))) as server:
        result = check(env=clean_environment(HOST=host, PORT=server.url.rpartition(":")[2]))

    assert (result.returncode, len(server.requests)) == (0, 1), result.stderr


@pytest.mark.parametrize(
    "line", ["PORT={}", "port = {}", "export PORT='{}'", 'PORT="{}" # of this machine', "PORT={} # x"]
)
def test_a_backend_is_found_at_the_port_of_its_env_file(tmp_path, line):
    with stub(http(200, json.dumps(HEALTHY))) as server:
        port = server.url.rpartition(":")[2]
        (tmp_path / ".env").write_text(f"# PORT=1\nPORT=1\nHOST=\nTRANSPORT=1\n{line.format(port)}\n")
        result = check(env=clean_environment(), cwd=tmp_path)
        overridden = check(env=clean_environment(PORT="1"), cwd=tmp_path)

    assert (result.returncode, overridden.returncode) == (0, 1), result.stderr
    assert "http://127.0.0.1:1:" in overridden.stderr


def test_an_option_overrides_the_settings():
    with stub(http(200, json.dumps(HEALTHY))) as server:
        assert check("--url", server.url, env=clean_environment(PORT="1")).returncode == 0


@pytest.mark.parametrize(("host", "address"), [("::", "http://[::1]:1"), ("::1", "http://[::1]:1")])
def test_an_ipv6_address_is_put_in_brackets(host, address):
    assert f"not healthy at {address}: " in error_line(check(env=clean_environment(HOST=host, PORT="1")))


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_a_port_that_no_server_can_have_is_told_with_the_names_of_the_settings(port):
    assert "HOST and PORT" in error_line(check(env=clean_environment(PORT=port)), code=2)


def test_an_unhealthy_backend_is_told_with_its_own_words(server):
    with server.database.write_transaction("test") as session:
        session.execute(text("DELETE FROM alembic_version"))

    message = error_line(check("--url", server.base_url))

    assert "HTTP 503: The database schema is at no revision. Run: python -m app.cli migrate" in message


def test_a_server_that_is_not_there_is_told():
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]

    assert "no server listens there" in error_line(check("--url", f"http://127.0.0.1:{port}"))


def test_an_address_that_no_server_can_have_is_told():
    assert "the server cannot be reached" in error_line(check("--url", "http://255.255.255.255"))


@pytest.mark.parametrize(
    "answer",
    [
        http(200, "<html>Welcome to nginx!</html>"),
        http(200, '{"status": "ok"}'),
        http(200, '{"status": "ok", "service": "recipes"}'),
        http(200, '{"status": "starting", "service": "employee-time-tracking-api"}'),
        http(200, '["ok"]'),
        http(200, "[" * 60_000),
        http(200, b"\xff\xfe\x00\xd8"),
        http(200, f'{{"status": "ok", "service": "employee-time-tracking-api", "more": "{"m" * 2**20}"}}'),
        http(204, ""),
        http(404, '{"detail": "Not Found"}'),
        http(503, "<html>Bad gateway</html>"),
        http(503, '{"detail": 503}'),
    ],
    ids=lambda answer: answer[:12].decode() + answer.partition(b"\r\n\r\n")[2][:30].decode(errors="replace"),
)
def test_another_service_is_not_taken_for_ours(answer):
    with stub(answer) as other:
        assert "is not the Employee Time Tracking API" in error_line(check("--url", other.url))


def test_a_redirect_is_not_followed():
    with stub(http(200, json.dumps(HEALTHY))) as target, stub(http(302, "", f"Location: {target.url}")) as other:
        message = error_line(check("--url", other.url))

        assert "(HTTP 302) is not the Employee Time Tracking API" in message
        assert target.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\xff" * 5000,
        b"HTTP/1.1 fine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: yes\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n{}",
    ],
)
def test_what_is_not_http_is_told(answer):
    with stub(answer) as other:
        assert "does not speak valid HTTP" in error_line(check("--url", other.url))


def test_a_server_that_hangs_up_is_told():
    with stub(b"") as other:
        assert "closed before the response" in error_line(check("--url", other.url))


def test_a_backend_that_speaks_no_https_is_told(server):
    assert "the server cannot be reached" in error_line(check("--url", server.base_url.replace("http", "https")))


def _never_respond(_client: socket.socket, stopped: threading.Event) -> None:
    stopped.wait()


def _send_header_slowly(client: socket.socket, stopped: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not stopped.wait(0.02):
        client.sendall(b"z")


def _send_body_slowly(client: socket.socket, stopped: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
    while not stopped.wait(0.02):
        client.sendall(b" ")


@pytest.mark.parametrize("respond", [_never_respond, _send_header_slowly, _send_body_slowly])
def test_the_deadline_is_for_the_whole_call(respond):
    with stub(respond) as slow:
        assert "no complete response within 0.4 s" in error_line(check("--url", slow.url, "--timeout", "0.4"))


def test_a_body_without_end_is_not_read_to_its_end():
    def flood(client: socket.socket, stopped: threading.Event) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stopped.is_set():
            client.sendall(b" " * 65536)

    with stub(flood) as other:
        assert "is not the Employee Time Tracking API" in error_line(check("--url", other.url, "--timeout", "20"))


def test_what_a_server_says_cannot_command_the_terminal():
    with stub(http(503, json.dumps({"detail": "red \x1b[31m\nBackend is running! \u202e"}))) as other:
        message = error_line(check("--url", other.url))

    assert message.endswith("HTTP 503: red ?[31m Backend is running! ?")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "127.0.0.1:8000"],
        ["--url", "localhost"],
        ["--url", ""],
        ["--url", "http://"],
        ["--url", "http://[::1"],
        ["--url", "http://127.0.0.1:http"],
        ["--url", "http://127.0.0.1:99999"],
        ["--url", "http://127.0.0.1/a b\r\nX-Evil: 1"],
        ["--url", "ftp://127.0.0.1"],
        ["--url", "http://ana:pencil@127.0.0.1"],
        ["--timeout", "soon"],
        ["--timeout", "0"],
        ["--timeout", "-1"],
        ["--timeout", "nan"],
        ["--timeout", "inf"],
        ["--timeout", "1e300"],
        ["--tiemout", "5"],
        ["now"],
    ],
    ids=" ".join,
)
def test_arguments_that_cannot_be_meant_are_refused(arguments):
    message = error_line(check(*arguments), code=2)

    assert "pencil" not in message


def test_ctrl_c_ends_it_with_a_word():
    with stub(_never_respond) as silent:
        process = subprocess.Popen(
            [*COMMAND, "--url", silent.url, "--timeout", "60"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell starts background jobs with SIGINT ignored, and this process would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nothing else runs in it
        )
        assert silent.requested.wait(30)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=30)

    assert (process.returncode, message) == (130, (b"", b"Stopped.\n"))


def test_it_needs_nothing_but_python():
    nodes = list(ast.walk(ast.parse((ROOT / "app" / "cli" / "check.py").read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names

"""`run_backend.py` as operators run it: first start, failed start, workers, and shutdown (threats 16, F11)."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import httpx
import psutil
import pytest
from sqlalchemy import inspect
from sqlalchemy.engine import make_url

import run_backend
from app.core.config.settings import DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD
from app.core.database.migrations import ROOT, SchemaState, detect_schema_state, open_database
from tests.support.cli import clean_environment, create_unrelated_table, empty_database
from tests.support.databases import SECRET_KEY, SQLITE, settings_for
from tests.support.factories import PASSWORD
from tests.support.server_process import TLS, becomes_ready

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, str(ROOT / "run_backend.py"), "--port", "0"]
SECONDS = 60
DEFAULT_ADMIN = {"username": DEFAULT_ADMIN_EMAIL, "password": DEFAULT_ADMIN_PASSWORD}
PERIOD = {"start_date": "2000-01-01", "end_date": "2099-12-31"}


class StartedServer:
    """A server in its own processes, at the address that it printed."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self._errors = folder / "errors"
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, *options],
                cwd=folder,
                env=clean_environment(**settings),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.address = ""

    def wait_until_ready(self) -> None:
        """Wait until the server is ready."""
        assert self.process.stdout is not None
        greeting = self.process.stdout.readline()
        assert greeting, self.errors
        self.address = re.findall(r" at (http://\S+)", greeting)[0]  # the address of the API docs may follow
        assert becomes_ready(self.address, self.process, seconds=SECONDS), self.errors

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def workers(self) -> list[psutil.Process]:
        """The worker processes; empty if the main process serves requests itself."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def is_listening(self) -> bool:
        processes = self.workers() or [psutil.Process(self.process.pid)]
        try:
            return any(each.status == psutil.CONN_LISTEN for process in processes for each in process.net_connections())
        except psutil.NoSuchProcess:  # one has just ended, so ask the others
            return self.is_listening()

    def log_in(self, credentials: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{self.address}/api/v1/auth/login", data=credentials, verify=TLS)

    def get_me(self, token: str) -> httpx.Response:
        return httpx.get(f"{self.address}/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}, verify=TLS)

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send the signal, wait for the end, and return the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(SECONDS)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def started(folder: Path, *options: str, **settings: str) -> Iterator[StartedServer]:
    server = StartedServer(folder, *options, **settings)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.process.terminate()
        server.process.communicate(timeout=SECONDS)


def startup_error(folder: Path, *options: str, **settings: str) -> str:
    """Return the one error line of a failed start in this process, because a new one takes 2 s of CPU."""
    output, errors = StringIO(), StringIO()
    with ExitStack() as restored:
        for number in (signal.SIGINT, signal.SIGTERM):
            restored.callback(signal.signal, number, signal.getsignal(number))
        restored.enter_context(patch.dict(os.environ, clean_environment(**settings), clear=True))
        restored.enter_context(patch.object(sys, "argv", [*COMMAND[1:], *options]))
        restored.enter_context(chdir(folder))
        restored.enter_context(redirect_stdout(output))
        restored.enter_context(redirect_stderr(errors))
        assert run_backend.main() == 2
    return only_line(output.getvalue(), errors.getvalue())


def only_line(output: str, errors: str) -> str:
    assert output == ""
    (line,) = errors.splitlines()
    assert line.startswith("Not started. ")
    return line


@pytest.fixture
def empty_postgresql_url(tmp_path, postgresql_server):
    with empty_database("postgresql", tmp_path, postgresql_server) as url:
        yield url


def test_the_first_start_in_an_empty_folder_needs_nothing_and_says_who_may_log_in(tmp_path):
    with started(tmp_path) as server:
        token = server.log_in(DEFAULT_ADMIN).json()["access_token"]

        assert server.get_me(token).json()["role"] == "admin"
        assert server.address.startswith("http://127.0.0.1:")
        assert server.errors.startswith(
            "WARNING: created admin admin@example.com with the password adminpassword in "
            f"sqlite:///{tmp_path}/time_tracking.db."
        )
        assert f" database=sqlite:///{tmp_path}/time_tracking.db" in server.errors
        assert server.stop(signal.SIGINT) == 0  # Ctrl-C
        assert "Traceback" not in server.errors
    assert stat.S_IMODE((tmp_path / ".signing-key").stat().st_mode) == 0o600
    assert (tmp_path / "time_tracking.db").exists()


def test_two_that_start_at_once_share_database_admin_and_key_and_one_started_elsewhere_does_too(tmp_path):
    """The one elsewhere has an absolute DB_URL. Without one, the log names the file, as the test above shows."""
    with ExitStack() as both:
        one, other = StartedServer(tmp_path), StartedServer(tmp_path)
        for server in (one, other):
            both.callback(server.process.communicate)
            both.callback(server.process.terminate)
        one.wait_until_ready()
        other.wait_until_ready()

        token = one.log_in(DEFAULT_ADMIN).json()["access_token"]

        assert other.get_me(token).json()["id"] == 1
        assert one.errors.count("WARNING") == 1
    (elsewhere := tmp_path / "elsewhere").mkdir()

    with started(elsewhere, DB_URL=f"sqlite:///{tmp_path}/time_tracking.db") as server:
        assert server.get_me(token).status_code == 200
        assert "WARNING" not in server.errors
    assert [file.name for file in elsewhere.iterdir()] == ["errors"]


@pytest.mark.extended  # most fault tests also have two workers
def test_two_workers_are_two_processes_that_both_serve(db_url, tmp_path):
    with started(tmp_path, "--workers", "2", DB_URL=db_url, SECRET_KEY=SECRET_KEY) as server:
        one, other = server.workers()
        for idle in (one, other):
            idle.suspend()
            try:
                answer = httpx.get(f"{server.address}/health/ready", timeout=SECONDS, verify=TLS)
            finally:
                idle.resume()
            assert answer.status_code == 200

        assert server.stop() == 0
        assert not one.is_running()
        assert not other.is_running()


def test_an_unmigrated_postgresql_names_the_command_that_migrates_it(empty_postgresql_url, tmp_path):
    settings = {"DB_URL": empty_postgresql_url, "SECRET_KEY": SECRET_KEY}

    assert startup_error(tmp_path, **settings).endswith("Run: python -m app.cli migrate")

    with open_database(settings_for(empty_postgresql_url)) as database:
        assert detect_schema_state(database) is SchemaState.empty
    command = [sys.executable, "-m", "app.cli", "migrate"]
    subprocess.run(command, cwd=ROOT, env=clean_environment(**settings), capture_output=True, check=True)
    with started(tmp_path, **settings) as server:
        assert server.log_in(DEFAULT_ADMIN).status_code == 200


def test_somebody_elses_database_is_left_as_it_is(empty_url, engine, tmp_path):
    create_unrelated_table(empty_url)
    before = _content(empty_url, engine)

    message = startup_error(tmp_path, DB_URL=empty_url, SECRET_KEY=SECRET_KEY)

    assert "The database has tables, but no revision that this version knows; nothing was changed." in message
    assert _content(empty_url, engine) == before


def _content(db_url: str, engine: str) -> object:
    """Return the bytes of an SQLite file, or the tables of a PostgreSQL database."""
    if engine == SQLITE:
        file = Path(str(make_url(db_url).database))
        return {path.name: path.read_bytes() for path in file.parent.glob(f"{file.name}*")}
    with open_database(settings_for(db_url)) as database:
        return inspect(database.engine).get_table_names()


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        ([], {"ENVIRONMENT": "production"}, "SECRET_KEY is missing"),
        (["--host", "0.0.0.0"], {"SECRET_KEY": SECRET_KEY}, "FIRST_ADMIN_PASSWORD is the published default"),
    ],
)
def test_where_others_can_reach_it_it_starts_on_no_default(tmp_path, options, settings, message):
    """Threats 16. tests/core/config/test_settings.py covers every such setting."""
    assert message in startup_error(tmp_path, *options, **settings)
    assert list(tmp_path.iterdir()) == []


def test_in_production_it_starts_on_secrets_of_its_own_and_options_override_settings(db_url, tmp_path):
    own = {"FIRST_ADMIN_EMAIL": "ada@example.com", "FIRST_ADMIN_PASSWORD": PASSWORD, "SECRET_KEY": SECRET_KEY}
    overridden = {"HOST": "127.0.0.2", "PORT": "1", "WORKERS": "2"}
    options = ["--host", "127.0.0.1", "--workers", "1"]
    with started(tmp_path, *options, DB_URL=db_url, ENVIRONMENT="production", **own, **overridden) as server:
        assert server.address.startswith("http://127.0.0.1:")
        assert server.address != "http://127.0.0.1:1"
        assert server.workers() == []
        assert server.log_in({"username": "ada@example.com", "password": PASSWORD}).status_code == 200
        assert "WARNING" not in server.errors


def test_in_production_a_file_that_was_lost_is_not_replaced_by_an_empty_one(tmp_path):
    own = {"FIRST_ADMIN_EMAIL": "ada@example.com", "FIRST_ADMIN_PASSWORD": PASSWORD, "SECRET_KEY": SECRET_KEY}
    lost = clean_environment(ENVIRONMENT="production", DB_URL=f"sqlite:///{tmp_path}/lost.db", **own)

    done = subprocess.run(COMMAND, cwd=tmp_path, env=lost, capture_output=True, text=True, check=False, timeout=SECONDS)

    assert done.returncode == 2
    message = only_line(done.stdout, done.stderr)
    assert message.startswith(f"Not started. The SQLite file of DB_URL, {tmp_path}/lost.db, has no tables.")


def test_a_port_that_is_taken_is_told_before_anything_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])

        message = startup_error(tmp_path, "--port", port)

    assert message == f"Not started. HOST and PORT: cannot listen on '127.0.0.1', port {port}: Address already in use."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ALGORITHM": "none"}, "ALGORITHM: Input should be"),
        (
            {"HOST": "192.0.2.1", "SECRET_KEY": SECRET_KEY, "FIRST_ADMIN_PASSWORD": PASSWORD},
            "Cannot assign requested address",
        ),
        (
            {"DB_URL": "sqlite:////dev/null/time.db"},
            "The database of DB_URL can't be used: unable to open database file (sqlite:////dev/null/time.db)",
        ),
        ({"DB_URL": "sqlite:///errors.txt"}, "The database of DB_URL can't be used: file is not a database"),
        ({"DB_URL": "postgresql://ana:pencil@127.0.0.1:1/ett"}, "The database of DB_URL can't be used: connection to"),
        ({"SECRET_KEY_FILE": "no/such/folder"}, "SECRET_KEY_FILE can't be used"),
    ],
)
def test_what_stops_a_start_is_told_in_one_line(tmp_path, settings, message):
    (tmp_path / "errors.txt").write_text("This is no database.")

    error = startup_error(tmp_path, **settings)

    assert message in error
    assert "pencil" not in error


@pytest.mark.parametrize(
    ("engine", "workers"),
    [
        ("sqlite", "1"),
        pytest.param("postgresql", "2", marks=pytest.mark.extended),  # test_graceful_shutdown.py has two, under load
    ],
)
def test_sigterm_lets_a_request_in_flight_finish_and_ends_well(db_url, people, bearer, tmp_path, workers):
    """F11."""
    ana, website = people.employee("Ana"), people.project("Website")
    body = f'{{"project_id": {website.id}, "description": "Late"}}'.encode()
    head = [
        "POST /api/v1/time-entries/clock-in HTTP/1.1",
        "Host: localhost",
        *(f"{name}: {value}" for name, value in bearer(ana).items()),
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    ]
    with started(tmp_path, "--workers", workers, DB_URL=db_url, SECRET_KEY=SECRET_KEY) as server:
        address = httpx.URL(server.address)
        with socket.create_connection((address.host, address.port), timeout=SECONDS) as client:
            client.sendall("\r\n".join([*head, "", ""]).encode())
            # The service has read the head and waits for the body.
            assert client.recv(100).startswith(b"HTTP/1.1 100 Continue")

            server.process.terminate()
            wait_until(lambda: not server.is_listening())
            client.sendall(body)
            answer = b"".join(iter(lambda: client.recv(65536), b""))

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b'"description":"Late"' in answer
        assert server.process.wait(SECONDS) == 0
        assert "Traceback" not in server.errors

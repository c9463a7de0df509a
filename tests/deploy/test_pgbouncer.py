"""PgBouncer as in compose.yaml, in transaction mode between the service and PostgreSQL."""

import os
import pwd
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.support.databases import POSTGRESQL
from tests.support.server_process import ROOT, TLS, Backend, free_port
from tests.support.system_packages import find_program

PASSWORD = "letters-and-digits-1"
SECONDS = 30
RECOVERY_TIMEOUT_SECONDS = 5
HERE = ROOT / "deploy" / "compose" / "pgbouncer"
pytestmark = [pytest.mark.system, pytest.mark.parametrize("engine", [POSTGRESQL])]


@pytest.fixture
def db_url(own_db_url):
    return own_db_url


@pytest.fixture
def pooled_url(db_url):
    """Return the DB_URL through the shipped PgBouncer configuration, with addresses of this machine."""
    server, port = make_url(db_url), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        replacements = {
            "ett = host=database port=5432 dbname=ett": f"ett = host=127.0.0.1 port={server.port} "
            f"dbname={server.database} user={server.username}",
            "listen_addr = *": "listen_addr = 127.0.0.1",
            "listen_port = 6432": f"listen_port = {port}",
            "/run/pgbouncer/userlist.txt": str(folder / "userlist.txt"),
        }
        config = (HERE / "pgbouncer.ini").read_text()
        for old, new in replacements.items():
            assert old in config
            config = config.replace(old, new)
        (folder / "pgbouncer.ini").write_text(config)
        (folder / "userlist.txt").write_text(f'"ett" "{PASSWORD}"\n')
        folder.chmod(0o755)
        pooler = subprocess.Popen([find_program("pgbouncer"), "-q", folder / "pgbouncer.ini"], **_unprivileged())
        try:
            _wait_for(port)
            yield f"postgresql://ett:{PASSWORD}@127.0.0.1:{port}/ett"
        finally:
            pooler.terminate()
            pooler.wait(SECONDS)


@pytest.fixture
def backend(pooled_url, tmp_path):
    running_backend = Backend(pooled_url, tmp_path)
    yield running_backend
    running_backend.stop()


@pytest.fixture
def punch(backend, people, bearer):
    """Return a function that punches as Ana and returns the status of the response."""
    body = {"project_id": people.project("Website").id, "description": ""}
    address = f"{backend.base_url}/api/v1/time-entries/clock-in?switch=true"
    headers = bearer(people.employee("Ana"))
    return lambda: httpx.post(address, json=body, headers=headers, verify=TLS, timeout=SECONDS).status_code


def test_the_service_works_through_it_and_nobody_without_the_password(pooled_url, backend, punch, engine):
    assert [punch() for _ in range(3)] == [200, 200, 200]
    assert httpx.get(f"{backend.base_url}/health/ready", verify=TLS).json()["database"] == POSTGRESQL
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        psycopg2.connect(pooled_url.replace(PASSWORD, "another"))


def test_when_postgresql_is_back_so_are_punches(own_postgresql, punch, engine):
    """By default PgBouncer repeats the last connection error to all clients for 15 s."""
    assert punch() == 200
    own_postgresql.kill()
    while_it_is_away = punch()
    own_postgresql.start()
    back_at = time.monotonic()
    while punch() != 200:
        assert time.monotonic() < back_at + RECOVERY_TIMEOUT_SECONDS

    assert while_it_is_away == 503


def _wait_for(port):
    deadline = time.monotonic() + SECONDS
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _unprivileged():
    """Return arguments to run PgBouncer as an unprivileged user, because it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    unprivileged = pwd.getpwnam("nobody")
    return {"user": unprivileged.pw_uid, "group": unprivileged.pw_gid, "extra_groups": []}

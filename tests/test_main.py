"""`app.main:app`, which FastAPI's documentation uses to start a service."""

import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from app.core.config.settings import DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD
from tests.support.cli import clean_environment
from tests.support.processes import free_port
from tests.support.server_process import START_SECONDS, TLS

pytestmark = pytest.mark.slow
LOG_IN = {"username": DEFAULT_ADMIN_EMAIL, "password": DEFAULT_ADMIN_PASSWORD}
IMPORT = "from app.main import app"
WITH_TEST_CLIENT = f"""
import warnings
warnings.filterwarnings("ignore", "Using `httpx`")  # Starlette recommends httpx2
from fastapi.testclient import TestClient
{IMPORT}
with TestClient(app) as client:
    token = client.post("/api/v1/auth/login", data={LOG_IN}).json()["access_token"]
    headers = {{"Authorization": f"Bearer {{token}}"}}
    project = client.post("/api/v1/admin/projects", json={{"name": "Website"}}, headers=headers).json()
    sent = {{"project_id": project["id"], "description": "Landing page"}}
    print(client.post("/api/v1/time-entries/clock-in", json=sent, headers=headers).status_code)
"""


@pytest.fixture
def python(tmp_path):
    """Return a function that runs Python in an empty directory with these settings only."""

    def run(*arguments, **settings):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=clean_environment(**settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )

    return run


@contextmanager
def served(directory):
    """Run `uvicorn app.main:app` in the directory, and yield its port and log."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)]
    log = directory / "log"
    with log.open("wb") as log_file:
        server = subprocess.Popen(
            command, cwd=directory, env=clean_environment(), stdout=log_file, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while b"Uvicorn running" not in log.read_bytes():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield port, log
    finally:
        server.terminate()
        server.wait(START_SECONDS)


def test_uvicorn_starts_it_in_an_empty_folder_and_the_first_admin_logs_in(tmp_path):
    with served(tmp_path) as (port, log):
        answer = httpx.post(f"http://127.0.0.1:{port}/api/v1/auth/login", data=LOG_IN, verify=TLS)

    assert answer.status_code == 200
    assert f"created admin {DEFAULT_ADMIN_EMAIL} with the password {DEFAULT_ADMIN_PASSWORD}" in log.read_text()


def test_the_test_client_clocks_in(python):
    done = python("-c", WITH_TEST_CLIENT)

    assert done.stdout.splitlines()[-1:] == ["200"], done.stderr


def test_importing_the_module_reads_no_settings_and_asking_for_the_app_does(python, tmp_path):
    imported = python("-c", f"import app.main; print('imported'); {IMPORT}", PORT="none")

    assert imported.stdout == "imported\n"
    assert imported.stderr.splitlines()[-1].startswith("app.core.config.settings.InvalidSettings: PORT: ")
    assert list(tmp_path.iterdir()) == []


def test_what_the_module_does_not_have_is_an_import_error():
    with pytest.raises(ImportError, match=r"cannot import name 'application' from 'app\.main'"):
        from app.main import application  # noqa: F401, PLC0415 - the import is what is tested

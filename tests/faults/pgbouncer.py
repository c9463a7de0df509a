"""A real PgBouncer in transaction mode in front of the tests' PostgreSQL, with fewer connections than clients."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

from tests.support.processes import free_port, unprivileged_user
from tests.support.system_packages import find_program

SERVER_CONNECTIONS = 3
START_SECONDS = 20
CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
logfile = {folder}/log
"""


@contextmanager
def run_pgbouncer(url: URL) -> Iterator[URL]:
    """Run a PgBouncer until the block ends, and yield the database URL through it."""
    folder, port, user_options = Path(tempfile.mkdtemp(prefix="ett-pgbouncer-")), free_port(), unprivileged_user()
    configuration = CONFIGURATION.format(
        host=url.host, port=url.port, own_port=port, folder=folder, size=SERVER_CONNECTIONS
    )
    (folder / "pgbouncer.ini").write_text(configuration)
    (folder / "users").write_text(f'"{url.username}" ""\n')
    if user_options:
        shutil.chown(folder, user_options["user"], user_options["group"])
    process = subprocess.Popen([find_program("pgbouncer"), "-q", folder / "pgbouncer.ini"], **user_options)
    try:
        _wait_until_ready(url.set(port=port), process)
        yield url.set(port=port)
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        shutil.rmtree(folder)


def _wait_until_ready(url: URL, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(psycopg2.OperationalError):
            psycopg2.connect(host=url.host, port=url.port, user=url.username, dbname=url.database).close()
            return
        time.sleep(0.02)
    raise RuntimeError("PgBouncer did not start.")

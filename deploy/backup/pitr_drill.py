"""Drill of point-in-time recovery: `python -m deploy.backup.pitr_drill`. It takes half a minute.

The drill follows docs/backup.md with a temporary PostgreSQL server on loopback. It archives the WAL and
takes a base backup while the service writes. Then it notes the time, deletes all entries "by accident", and recovers to
the noted time in a second data folder. The exit code is 0 if verify-audit and the counts return the same results as
before.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from app.core.config.settings import DEFAULT_ADMIN_EMAIL, DEFAULT_ADMIN_PASSWORD
from app.core.database.postgresql.dump import find_program
from app.core.time.clock import monotonic_seconds
from tests.support.databases import SECRET_KEY
from tests.support.processes import free_port, unprivileged_user
from tests.support.server_process import TLS, Backend

ENTRIES = 40
WAIT_SECONDS = 60
BIN = find_program("postgres", at_least=15).resolve().parent
COUNTS_SQL = "SELECT count(*), sum(extract(epoch FROM end_time - start_time))::bigint, max(id) FROM time_entry"


class Server:
    """A PostgreSQL server with its data in one folder, which archives its WAL into another."""

    def __init__(self, data: Path, archive: Path) -> None:
        self._data = data
        self._port = free_port()
        self._settings = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": data.parent,
            "archive_mode": "on",
            "archive_command": f"test ! -f {archive}/%f && cp %p {archive}/%f",
        }

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @contextmanager
    def run_server(self) -> Any:
        """Run the server until the block ends. The block starts when the server accepts writes."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self._data.parent / f"{self._data.name}.log").open("ab") as log:
            command = [BIN / "postgres", "-D", self._data, *options]
            process = subprocess.Popen(command, stdout=log, stderr=log, **unprivileged_user())  # noqa: S603
        try:
            wait_for(lambda: self.query("SELECT pg_is_in_recovery()") == (False,), process)
            yield
        finally:
            process.send_signal(2)  # SIGINT: fast shutdown
            process.wait(WAIT_SECONDS)

    def query(self, statement: str) -> Any:
        with closing(psycopg2.connect(self.url.replace("postgresql+psycopg2", "postgresql"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone() if cursor.description else None


def wait_for(condition: Any, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = monotonic_seconds() + WAIT_SECONDS
    while True:
        with suppress(psycopg2.OperationalError):
            if condition():
                return
        if monotonic_seconds() > deadline or (process is not None and process.poll() is not None):
            raise RuntimeError("Timeout. See the logs.")
        time.sleep(0.05)


class RecoveryDrill:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started_at = self._last_at = monotonic_seconds()
        self._archive = folder / "archive"
        self._archive.mkdir()
        folder.chmod(0o755)
        for each in (folder, self._archive):
            if user := unprivileged_user():
                os.chown(each, user["user"], user["group"])

    def run(self) -> bool:
        """Run the drill. Returns True if all data were recovered."""
        first = Server(self._folder / "first", self._archive)
        self._run_postgresql("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", self._folder / "first")
        with first.run_server():
            self._report("PostgreSQL is running with WAL archiving")
            self._run_cli(first, "migrate")
            with self._run_service(first) as punch:
                punch(ENTRIES)
                self._report(f"migrated, and {ENTRIES} punches were acknowledged")
                self._run_postgresql("pg_basebackup", "-d", first.url, "-D", self._folder / "second", "-c", "fast")
                self._run_postgresql("pg_verifybackup", self._folder / "second")
                self._report("the base backup is taken and verified")
                punch(ENTRIES)
            counts, verification = first.query(COUNTS_SQL), self._run_cli(first, "verify-audit")
            (target_time,) = first.query("SELECT clock_timestamp()::text")
            self._report(f"{ENTRIES} more entries; at {target_time} there are {counts[0]} entries. {verification}")
            first.query("DELETE FROM time_entry")
            (segment,) = first.query("SELECT pg_walfile_name(pg_current_wal_lsn())")
            first.query("SELECT pg_switch_wal()")
            wait_for((self._archive / segment).exists)
            self._report(f"deleted by accident: {first.query(COUNTS_SQL)[0]} entries are left; the WAL is archived")
        second = Server(self._folder / "second", self._archive)
        self._set_target(target_time)
        with second.run_server():
            self._report("recovered to the noted time in a second data folder")
            restored_counts, restored_verification = second.query(COUNTS_SQL), self._run_cli(second, "verify-audit")
            self._report(f"there are {restored_counts[0]} entries. {restored_verification}")
            with self._run_service(second) as punch:
                punch(1)
                self._report("the service runs on the recovered database and accepts a punch")
        return bool(counts == restored_counts and verification == restored_verification)

    def _set_target(self, target_time: str) -> None:
        """Set the recovery target and the command that fetches archived WAL."""
        data = self._folder / "second"
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"restore_command = 'cp {self._archive}/%f %p'\n")
            settings.write(f"recovery_target_time = '{target_time}'\n")
            settings.write("recovery_target_action = 'promote'\n")
        (data / "recovery.signal").touch()

    @contextmanager
    def _run_service(self, server: Server) -> Any:
        """Run the service on this database, and yield a function that punches as its first admin."""
        backend = Backend(server.url, self._folder)
        try:
            with httpx.Client(base_url=f"{backend.base_url}/api/v1", verify=TLS) as client:
                form = {"username": DEFAULT_ADMIN_EMAIL, "password": DEFAULT_ADMIN_PASSWORD}
                token = client.post("/auth/login", data=form).raise_for_status().json()["access_token"]
                client.headers["Authorization"] = f"Bearer {token}"
                projects = client.get("/projects").json()
                if not projects:
                    projects = [client.post("/admin/projects", json={"name": "Website"}).raise_for_status().json()]

                def punch(times: int) -> None:
                    body = {"project_id": projects[0]["id"], "description": "A drill"}
                    for _ in range(times):
                        client.post("/time-entries/clock-in?switch=true", json=body).raise_for_status()

                yield punch
        finally:
            backend.stop()

    def _run_cli(self, server: Server, command: str) -> str:
        result = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "app.cli", command],
            env=os.environ | {"DB_URL": server.url, "SECRET_KEY": SECRET_KEY},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(f"{command}: {result.stderr}")
        return result.stdout.strip()

    def _run_postgresql(self, name: str, *arguments: str | Path) -> None:
        command = [BIN / name, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **unprivileged_user())  # noqa: S603

    def _report(self, message: str) -> None:
        now = monotonic_seconds()
        print(f"{now - self._started_at:5.1f} s (+{now - self._last_at:.1f})  {message}", flush=True)
        self._last_at = now


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="ett-drill-"))
    try:
        is_complete = RecoveryDrill(folder).run()
    finally:
        shutil.rmtree(folder)
    print("All data were recovered." if is_complete else "The recovered data DIFFER.")
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())

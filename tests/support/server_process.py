"""The service in its own processes, started with `run_backend.py` as operators start it, so that it can be killed."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.databases import NO_LIMIT, SECRET_KEY
from tests.support.processes import free_port
from tests.support.secret_scan import assert_no_secrets

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
TLS = ssl.create_default_context()
"""One TLS context for all calls. httpx would create one per call, which takes 30 ms; no test uses TLS here."""


class Backend:
    """A service with worker processes on a database, started from the folder `root`.

    Its output is in the file `log`. `command_prefix` is put in front of the command.
    """

    def __init__(
        self,
        db_url: str,
        folder: Path,
        *,
        workers: int = 1,
        root: Path = ROOT,
        command_prefix: Sequence[str] = (),
        **settings: str,
    ) -> None:
        self._port = free_port()
        self.base_url = f"http://127.0.0.1:{self._port}"
        self.log = folder / f"backend-{self._port}.log"
        self._folder = folder
        self._command = [*command_prefix, sys.executable, root / "run_backend.py"]
        own = {"DB_URL": db_url, "SECRET_KEY": SECRET_KEY, "REQUESTS_PER_MINUTE": str(NO_LIMIT)}
        self._environment = os.environ | own | settings
        self._options = ["--port", str(self._port), "--workers", str(workers)]
        self.start()

    @property
    def pid(self) -> int:
        """The process id of the parent process."""
        return self._process.pid

    def start(self) -> None:
        """Start the service and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *self._options],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not self.becomes_ready():
            raise RuntimeError(f"The service did not start:\n{self.log.read_text()}")

    def becomes_ready(self) -> bool:
        """Wait until the service is ready. Returns False if it does not become ready."""
        return becomes_ready(self.base_url, self._process, seconds=START_SECONDS)

    def kill(self) -> None:
        """Kill all processes at once with SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(START_SECONDS)

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        code = self._process.wait(START_SECONDS)
        assert_no_secrets(self.log.read_text(), "the log")
        return code


def becomes_ready(base_url: str, process: subprocess.Popen[Any], *, seconds: float) -> bool:
    """Wait until the service is ready. Returns False if its process ends before, or after this time.

    It asks over HTTP only once the service listens, because an attempt to connect costs less than a request.
    """
    url, deadline = httpx.URL(base_url), time.monotonic() + seconds
    with httpx.Client(base_url=url, timeout=seconds, verify=TLS) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError, httpx.TransportError):
                socket.create_connection((url.host, url.port or 0), timeout=seconds).close()
                if client.get("/health/ready").status_code == 200:
                    return True
            time.sleep(0.02)
    return False


def workers_of(backend: Backend) -> list[int]:
    """Return the process ids of the worker processes."""
    found = []
    for child in psutil.Process(backend.pid).children():
        with suppress(psutil.Error):
            found += [child.pid] if "spawn_main" in " ".join(child.cmdline()) else []
    return found

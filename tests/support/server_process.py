"""The service as operators run it: `run_backend.py` in processes of its own, which can be killed."""

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from tests.support.databases import NO_LIMIT, SECRET_KEY
from tests.support.processes import free_port
from tests.support.secret_scan import assert_no_secrets

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
TLS = ssl.create_default_context()
"""httpx makes one for each call, 30 ms a time, and none of ours needs it."""


class Backend:
    """A service with worker processes on a database, from `root`; its output is kept in `log`. `command_prefix` is
    what its command line begins with."""

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
        """The process that started the workers."""
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it serves."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *self._options],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.base_url}/health/ready", verify=TLS).status_code == 200:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The service did not start:\n{self.log.read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9, all its processes at once: no goodbye, no flush."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(START_SECONDS)

    def stop(self) -> int:
        """SIGTERM; the exit code once it is gone."""
        if self._process.poll() is None:
            self._process.terminate()
        code = self._process.wait(START_SECONDS)
        assert_no_secrets(self.log.read_text(), "the log")
        return code

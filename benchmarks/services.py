"""The measured services, each with two worker processes: this one, the bare app on its tables, and a baseline."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
from sqlalchemy.engine import URL, make_url

from benchmarks.company import ADMIN, MONTH, dates, email_of
from benchmarks.measure import OURS
from tests.support.concurrency import Call, send_simultaneously
from tests.support.factories import PASSWORD
from tests.support.processes import free_port
from tests.support.server_process import ROOT, TLS, Backend

WORKERS = 2
START_SECONDS = 60
API = "/api/v1"
ENTRY_ID, IDEMPOTENCY_KEY = b"{entry_id}", b"{key}"
"""Placeholders that are replaced when a prepared punch is sent."""
LIFETIME_MINUTES = "1440"
BASELINE_ADMIN = ("admin@example.com", "adminpassword")


class Service:
    """An HTTP service, and the requests that it supports."""

    name = ""
    base_url = ""
    accepts_idempotency_key = False
    """True if punches accept an Idempotency-Key."""

    def __init__(self) -> None:
        self._tokens: dict[int, str] = {}

    @property
    def pid(self) -> int:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def restart(self) -> None:
        """Restart with fresh processes, because memory kept by an old process hides the cost of the next response."""
        raise NotImplementedError

    def token(self, user: int) -> str:
        if user not in self._tokens:
            self.log_in([user])
        return self._tokens[user]

    def log_in(self, user_ids: list[int]) -> None:
        """Log in these users again, because a user's hundredth login ends their oldest login session."""
        answers = send_simultaneously([self._login(user) for user in user_ids])
        for user, answer in zip(user_ids, answers, strict=True):
            self._tokens[user] = answer.json()["access_token"]

    def get(self, user: int, path: str, **params: object) -> bytes:
        return self._call("GET", path, user, params=params).message()

    def own_month(self, user: int) -> bytes:
        return self.get(user, "/time-entries/me", **dates(MONTH))

    def punches(self, user: int) -> tuple[bytes, bytes]:
        """Return a clock-in on the first project, and the clock-out of the entry that its response names."""
        body = {"project_id": 1, "description": ""}
        headers = {"Idempotency-Key": IDEMPOTENCY_KEY.decode()} if self.accepts_idempotency_key else {}
        clock_in = self._call("POST", "/time-entries/clock-in", user, body=body, headers=headers)
        clock_out = self._call("POST", f"/time-entries/{ENTRY_ID.decode()}/clock-out", user, headers=headers)
        return clock_in.message(), clock_out.message()

    def login(self, user: int) -> bytes:
        return self._login(user).message()

    def _login(self, user: int) -> Call:
        email, password = self._password(user)
        return Call("POST", f"{self.base_url}{API}/auth/login", form=f"username={email}&password={password}")

    def _password(self, user: int) -> tuple[str, str]:
        return email_of(user), PASSWORD

    def _call(self, method: str, path: str, user: int, **parts: object) -> Call:
        headers = {"Authorization": f"Bearer {self.token(user)}"} | dict(parts.pop("headers", {}))  # type: ignore[call-overload]
        return Call(method, f"{self.base_url}{API}{path}", headers, **parts)  # type: ignore[arg-type]


class OurService(Service):
    """The service of a checkout; this checkout by default."""

    name, accepts_idempotency_key = OURS, True

    def __init__(self, url: URL, folder: Path, root: Path = ROOT) -> None:
        super().__init__()
        own = {"ACCESS_TOKEN_EXPIRE_MINUTES": LIFETIME_MINUTES}
        self._backend = Backend(_text(url), folder, workers=WORKERS, root=root, **own)
        self.base_url, self.log = self._backend.base_url, self._backend.log

    @property
    def pid(self) -> int:
        return self._backend.pid

    def stop(self) -> None:
        self._backend.stop()

    def restart(self) -> None:
        self._backend.stop()
        self._backend.start()


class UvicornService(Service):
    """An app served by uvicorn."""

    def __init__(self, python: str, app: str, folder: Path, workers: int = WORKERS, **environment: str) -> None:
        super().__init__()
        self._port = free_port()
        self.base_url = f"http://127.0.0.1:{self._port}"
        options = ["--port", str(self._port), "--workers", str(workers), "--no-access-log", "--log-level", "warning"]
        self._command = [python, "-m", "uvicorn", app, *options]
        self._folder, self._environment = folder, os.environ | environment
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(START_SECONDS)

    def restart(self) -> None:
        self.stop()
        self._start()

    def _start(self) -> None:
        """Start, and wait until all workers respond.

        They share the port, so only several responses in a row prove it.
        """
        self._process = subprocess.Popen(  # noqa: S603 - what the command line names
            self._command, cwd=self._folder, env=self._environment, start_new_session=True
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.TransportError):
                for _ in range(20):
                    httpx.get(f"{self.base_url}/hello", verify=TLS, timeout=START_SECONDS)
                return
            time.sleep(0.1)
        raise RuntimeError("The app did not start.")


class BareAppService(UvicornService):
    name = "bare app"

    def __init__(self, url: URL) -> None:
        plain = url.set(drivername="postgresql")
        super().__init__(sys.executable, "benchmarks.bare_app:app", ROOT, BARE_DB_URL=_text(plain))

    def punches(self, user: int) -> tuple[bytes, bytes]:
        paths = (f"{self.base_url}/users/{user}/{punch}" for punch in ("clock-in/1", "clock-out"))
        clock_in, clock_out = (Call("POST", path).message() for path in paths)
        return clock_in, clock_out

    def own_month(self, user: int) -> bytes:
        return Call("GET", f"{self.base_url}/users/{user}/entries", params=dates(MONTH)).message()

    def log_in(self, user_ids: list[int]) -> None:
        """Do nothing, because the bare app needs no login."""

    @property
    def hello(self) -> bytes:
        return Call("GET", f"{self.base_url}/hello").message()


class BaselineService(UvicornService):
    """Another app with the same routes, started in its own folder. All users have its admin's password."""

    name = "baseline"

    def __init__(self, folder: Path, python: str, url: URL, workers: int = WORKERS) -> None:
        environment = {"DB_URL": _text(url), "ACCESS_TOKEN_EXPIRE_MINUTES": LIFETIME_MINUTES, "PYTHONPATH": ""}
        super().__init__(python, "app.main:app", folder, workers, **environment)

    def _password(self, user: int) -> tuple[str, str]:
        email, password = BASELINE_ADMIN
        return (email if user == ADMIN else email_of(user)), password


def _text(url: URL) -> str:
    return make_url(url).render_as_string(hide_password=False)

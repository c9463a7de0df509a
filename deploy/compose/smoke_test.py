"""Smoke test of compose.yaml: `sudo python -m deploy.compose.smoke_test`. It takes two minutes and needs Docker.

The stack must not be running, because the test uses the same ports and the same network. It builds the images, starts
all services with generated secrets, and follows docs/operations.md: log in through the open ports, scrape metrics, back
up, restore, kill each service with SIGKILL, and stop. At the end it removes everything, including volumes. The exit
code is 0 if each step succeeded.

It needs root for two reasons. A container can't kill its own first process, and Docker does not restart a container
that it was asked to kill.
"""

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from app.core.time.clock import monotonic_seconds
from tests.support.server_process import ROOT, TLS

PROJECT = "ett-drill"
API, PROMETHEUS = "http://127.0.0.1:8000", "http://127.0.0.1:9090"
SERVICES = ("database", "pgbouncer", "api", "prometheus")
WAIT_SECONDS = 60
EMAIL, CLIENT_ADDRESS = "ada@example.com", "203.0.113.9"
HARDENED_STATUS = {"CapEff": "0000000000000000", "NoNewPrivs": "1"}


class SmokeTest:
    def __init__(self) -> None:
        self._started_at = self._last_at = monotonic_seconds()
        names = ("SECRET_KEY", "AUDIT_KEY", "TOTP_KEY", "METRICS_TOKEN", "DATABASE_PASSWORD", "DATABASE_ADMIN_PASSWORD")
        self._secrets = {name: secrets.token_urlsafe(32) for name in (*names, "FIRST_ADMIN_PASSWORD")}
        self._environment = os.environ | self._secrets | {"FIRST_ADMIN_EMAIL": EMAIL}

    def run(self) -> None:
        """Run all steps. Raises AssertionError, RuntimeError or CalledProcessError if one fails."""
        self._compose("--profile", "backup", "build", "--quiet")
        self._report("images built")
        self._compose("up", "--detach")
        wait_for(lambda: all(self._health(name) == "healthy" for name in SERVICES))
        self._report(f"{', '.join(SERVICES)} are healthy")
        for name in SERVICES:
            self._check_hardening(name)
        self._report("no container runs as root, has capabilities or can gain privileges; file systems are read-only")
        with self._log_in() as client:
            self._check_exposure(client)
            self._report("logged in with the client address from the proxy; no API docs; metrics only for Prometheus")
            self._check_backup_and_restore(client)
            self._report("backed up and restored: earlier punch present, later punch absent, audit log verified")
            for name in ("database", "pgbouncer", "api"):
                self._check_restart_after_kill(name, client)
        self._compose("stop")
        codes = {name: self._inspect(name)["State"]["ExitCode"] for name in SERVICES}
        assert set(codes.values()) == {0}, codes
        self._report("stopped, all with exit code 0")

    def remove(self) -> None:
        """Remove the stack and its volumes."""
        self._compose("--profile", "backup", "down", "--volumes", "--remove-orphans")

    def _check_hardening(self, name: str) -> None:
        status = self._compose("exec", "-T", name, "cat", "/proc/1/status")
        fields = {line.partition(":")[0]: line.partition(":")[2].strip() for line in status.splitlines()}
        assert fields["Uid"].split()[0] != "0", f"{name} is root"
        assert {key: fields[key] for key in HARDENED_STATUS} == HARDENED_STATUS, f"{name}: {fields}"
        assert self._inspect(name)["HostConfig"]["ReadonlyRootfs"]

    @contextmanager
    def _log_in(self) -> Iterator[httpx.Client]:
        """Log in as the first admin through the proxy's headers."""
        with httpx.Client(base_url=f"{API}/api/v1", verify=TLS, headers={"X-Forwarded-For": CLIENT_ADDRESS}) as client:
            form = {"username": EMAIL, "password": self._secrets["FIRST_ADMIN_PASSWORD"]}
            token = client.post("/auth/login", data=form).raise_for_status().json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            yield client

    def _check_exposure(self, client: httpx.Client) -> None:
        (session,) = client.get("/auth/sessions").json()
        assert session["address"] == CLIENT_ADDRESS
        assert [httpx.get(f"{API}{path}", verify=TLS).status_code for path in ("/docs", "/metrics")] == [404, 401]
        wait_for(lambda: [target["health"] for target in query_prometheus("targets")["activeTargets"]] == ["up"])
        assert query_prometheus("rules")["groups"]

    def _check_backup_and_restore(self, client: httpx.Client) -> None:
        project = client.post("/admin/projects", json={"name": "Website"}).raise_for_status().json()["id"]
        before = self._punch(client, project)
        self._backup()
        after = self._punch(client, project)
        (file,) = self._backup("ls", "/backups").split()
        self._backup("python", "-m", "app.cli", "restore", "--force", f"/backups/{file}")
        assert client.get(f"/time-entries/{before}").json()["end_time"] is None
        assert client.get(f"/time-entries/{after}").status_code == 404
        self._backup("python", "-m", "app.cli", "verify-audit")

    def _punch(self, client: httpx.Client, project: int) -> int:
        """Clock in, and close any open entry first."""
        body = {"project_id": project, "description": "A drill"}
        entry: int = client.post("/time-entries/clock-in?switch=true", json=body).raise_for_status().json()["id"]
        return entry

    def _check_restart_after_kill(self, name: str, client: httpx.Client) -> None:
        before = self._inspect(name)
        killed_at = monotonic_seconds()
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        wait_for(lambda: self._inspect(name)["RestartCount"] > before["RestartCount"])
        wait_for(lambda: client.get("/time-entries/current", timeout=10).status_code == 200)
        self._report(f"{name} was killed; {monotonic_seconds() - killed_at:.1f} s later requests succeed again")

    def _backup(self, *command: str) -> str:
        return self._compose("run", "--rm", "-T", "backup", *command)

    def _health(self, name: str) -> str:
        return str(self._inspect(name)["State"].get("Health", {}).get("Status"))

    def _inspect(self, name: str) -> Any:
        return json.loads(self._docker("inspect", f"{PROJECT}-{name}-1"))[0]

    def _compose(self, *arguments: str) -> str:
        return self._docker("compose", "--project-name", PROJECT, *arguments)

    def _docker(self, *arguments: str) -> str:
        result = subprocess.run(  # noqa: S603
            ["docker", *arguments],  # noqa: S607
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(f"docker {' '.join(arguments)}: {result.stderr}")
        return result.stdout

    def _report(self, what: str) -> None:
        now = monotonic_seconds()
        print(f"{now - self._started_at:5.1f} s (+{now - self._last_at:.1f})  {what}", flush=True)
        self._last_at = now


def query_prometheus(what: str) -> Any:
    """Query the targets or rules of Prometheus."""
    return httpx.get(f"{PROMETHEUS}/api/v1/{what}", verify=TLS).raise_for_status().json()["data"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = monotonic_seconds() + WAIT_SECONDS
    while True:
        with suppress(httpx.TransportError):
            if condition():
                return
        if monotonic_seconds() > deadline:
            raise RuntimeError("Timeout. See `docker logs`.")
        time.sleep(0.2)


def main() -> None:
    smoke_test = SmokeTest()
    smoke_test.remove()  # the remains of a test that was killed
    try:
        smoke_test.run()
    finally:
        smoke_test.remove()
    print("All steps succeeded.")


if __name__ == "__main__":
    main()

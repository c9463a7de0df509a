"""Seconds without an answer after all workers of a service died.

`python -m benchmarks.worker_deaths --rounds 20` starts the service with two workers on SQLite and kills both of them in
three ways: with SIGKILL, with SIGSTOP 1.2 s before SIGKILL, and by the kernel for lack of memory. The last one needs
root and a memory controller of cgroup version 1, otherwise it is left out. One client asks for `/health/ready` all the
time. A round takes as long as its longest time between two responses with status 200.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx
import psutil
import typer

from app.core.database.migrations import migrate
from app.core.database.session import Database
from tests.support.databases import settings_for
from tests.support.server_process import TLS, Backend

CGROUP = Path("/sys/fs/cgroup/memory/ett-worker-deaths")
LIMIT_BYTES = 512 * 1024
STOPPED_SECONDS = 1.2
MAX_SECONDS = 60
QUIET_SECONDS = 2
"""Time with responses that ends a round."""


def main(rounds: Annotated[int, typer.Option()] = 20) -> None:
    """Print one line for each way to die: the longest and the median time without an answer, in seconds."""
    ways: dict[str, Callable[[Backend, list[int]], None]] = {"SIGKILL": _kill, "SIGSTOP, then SIGKILL": _stop_and_kill}
    if CGROUP.parent.is_dir() and os.geteuid() == 0:
        ways["out of memory"] = _run_out_of_memory
    with tempfile.TemporaryDirectory() as folder, _service(Path(folder)) as backend:
        for name, attack in ways.items():
            gaps = [_measure_gap(backend, attack) for _ in range(rounds)]
            typer.echo(f"{name}: {rounds} rounds, longest {max(gaps):.1f} s, median {median(gaps):.1f} s")


@contextmanager
def _service(folder: Path) -> Iterator[Backend]:
    url = f"sqlite:///{folder}/time_tracking.db"
    database = Database(settings_for(url))
    migrate(database)
    database.close()
    backend = Backend(url, folder, workers=2)
    try:
        yield backend
    finally:
        backend.kill()


def _measure_gap(backend: Backend, attack: Callable[[Backend, list[int]], None]) -> float:
    """Kill all workers, and return the longest time between two responses until the service is back."""
    _wait_until(lambda: len(_workers_of(backend)) == 2 and _is_ready(backend))
    victims = _workers_of(backend)
    attack(backend, victims)
    began = last_answer = ready_since = time.monotonic()
    gap = 0.0
    while time.monotonic() - began < MAX_SECONDS and last_answer - ready_since < QUIET_SECONDS:
        if _is_ready(backend) and not set(victims) & set(_workers_of(backend)):
            now = time.monotonic()
            if now - last_answer > gap:
                gap, ready_since = now - last_answer, now
            last_answer = now
        time.sleep(0.02)
    return gap


def _kill(_backend: Backend, victims: list[int]) -> None:
    for victim in victims:
        os.kill(victim, signal.SIGKILL)


def _stop_and_kill(backend: Backend, victims: list[int]) -> None:
    os.kill(victims[0], signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    _kill(backend, victims)


def _run_out_of_memory(backend: Backend, victims: list[int]) -> None:
    """Let no victim allocate more than LIMIT_BYTES from now on, and send requests until the kernel has killed all."""
    CGROUP.mkdir(exist_ok=True)
    (CGROUP / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
    for victim in victims:
        (CGROUP / "cgroup.procs").write_text(str(victim))
    with httpx.Client(base_url=backend.base_url, verify=TLS, timeout=1) as client:
        while set(victims) & set(_workers_of(backend)):
            with suppress(httpx.HTTPError):
                client.post("/api/v1/auth/login", content=b"x" * 900_000)
    CGROUP.rmdir()


def _workers_of(backend: Backend) -> list[int]:
    found = []
    for child in psutil.Process(backend.pid).children():
        with suppress(psutil.Error):
            found += [child.pid] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


def _is_ready(backend: Backend) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{backend.base_url}/health/ready", verify=TLS, timeout=1).status_code == 200
    return False


def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.1)


if __name__ == "__main__":
    typer.run(main)

"""Metrics of two worker processes: their values add up, whichever worker is scraped and after a worker dies."""

import os
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.concurrency import Call, send_simultaneously
from tests.support.databases import SQLITE
from tests.support.metrics import Scrape
from tests.support.server_process import TLS, Backend

pytestmark = pytest.mark.slow
REQUESTS = 40
SETTLED = 12
"""Number of scrapes, each on its own connection, so that both workers receive some."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the metrics folder, with an unrelated database file and a stale metrics file in it."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "time_tracking.db").write_text("everybody's hours")
    (tmp_path / "metrics" / "counter_1.db").write_bytes(b"of a service that was killed")
    return tmp_path / "metrics"


@pytest.mark.parametrize("engine", [SQLITE])
def test_two_workers_count_as_one_and_a_killed_one_leaves_only_what_it_counted(db_url, tmp_path, folder):
    backend = Backend(db_url, tmp_path, workers=2, PROMETHEUS_MULTIPROC_DIR=str(folder))
    try:
        wait_for_workers(backend, worker_starts=2)
        send_simultaneously([Call("GET", f"{backend.base_url}/nowhere")] * REQUESTS)
        before = [scrape(backend) for _ in range(SETTLED)]
        victim = worker_pids(backend)[0]
        os.kill(victim, signal.SIGKILL)
        wait_for_workers(backend, worker_starts=3)
        after = [scrape(backend) for _ in range(SETTLED)]
        left = {file.name for file in folder.glob(f"*_{victim}.db")}
    finally:
        assert backend.stop() == 0

    for scraped in before + after:
        assert scraped("ett_http_requests_total", method="GET", route="unmatched", status="404") == REQUESTS
        assert scraped("ett_http_request_duration_seconds_count", route="unmatched") == REQUESTS
        assert scraped("ett_workers") == 2
        assert scraped("ett_concurrency_limit", limiter="requests") == 10
    assert {scraped("ett_worker_starts_total") for scraped in before} == {2}
    assert left == {f"counter_{victim}.db", f"histogram_{victim}.db"}
    assert [file.name for file in folder.iterdir()] == ["time_tracking.db"]
    log = backend.log.read_text()
    assert f"Child process [{victim}] died" in log
    assert log.count(" started version=") == 3


def scrape(backend: Backend) -> Scrape:
    return Scrape(httpx.get(f"{backend.base_url}/metrics", verify=TLS))


def wait_for_workers(backend: Backend, *, worker_starts: int) -> None:
    """Wait until this number of workers was started and two of them are ready."""
    deadline = time.monotonic() + 60
    while (scraped := scrape(backend))("ett_worker_starts_total") < worker_starts or scraped("ett_workers") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def worker_pids(backend: Backend) -> list[int]:
    children = psutil.Process(backend.pid).children()
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]

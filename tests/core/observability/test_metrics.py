"""Metrics without a running service: permits, aborted requests, and the folder that worker processes share."""

import asyncio
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import app.cli
from app.api.http.body_limits import BodyLimitMiddleware
from app.api.http.request_middleware import RequestMiddleware
from app.core.config.settings import InvalidSettings
from app.core.database.migrations import ROOT
from app.core.database.session import ServiceBusy
from app.core.observability.metrics import render
from app.core.observability.metrics_directory import MULTIPROC_DIR, open_metrics_directory
from app.core.server.concurrency_limit import ConcurrencyLimiter


def value(name: str, **labels: str) -> float:
    families = text_string_to_metric_families(render([]).decode())
    samples = [each for family in families for each in family.samples if (each.name, each.labels) == (name, labels)]
    return samples[0].value if samples else 0


def limiter_metrics(name: str) -> tuple[float, float, float]:
    """Return the number of permits, of running requests and of queued requests."""
    return tuple(
        value(metric, limiter=name)
        for metric in ("ett_concurrency_limit", "ett_requests_running", "ett_requests_queued")
    )


def test_a_limiter_shows_who_is_in_and_who_waits():
    async def watch() -> list[tuple[float, float, float]]:
        limiter, leave = ConcurrencyLimiter("office", permits=1, wait_seconds=0.01), threading.Event()
        seen = [limiter_metrics("office")]
        first = asyncio.create_task(limiter.run(leave.wait, writes=False))
        second = asyncio.create_task(limiter.run(leave.wait, writes=False))
        await asyncio.sleep(0)
        seen.append(limiter_metrics("office"))
        with pytest.raises(ServiceBusy):
            await second
        seen.append(limiter_metrics("office"))
        leave.set()
        await first
        limiter.close()
        return [*seen, limiter_metrics("office")]

    assert asyncio.run(watch()) == [(1, 0, 0), (1, 1, 1), (1, 1, 0), (1, 0, 0)]


@pytest.mark.parametrize(
    ("sent", "error", "status"),
    [
        (["start"], OSError, "truncated"),
        (["start", "part"], asyncio.CancelledError, "truncated"),
        (["start", "part"], None, "truncated"),
        (["start", "part", "end"], None, "201"),
        ([], None, "aborted"),
        ([], asyncio.CancelledError, "503"),
    ],
)
def test_a_request_counts_however_it_ends(sent, error, status):
    messages = {
        "start": {"type": "http.response.start", "status": 201, "headers": []},
        "part": {"type": "http.response.body", "body": b"half", "more_body": True},
        "end": {"type": "http.response.body", "body": b"", "more_body": False},
    }

    async def app(_scope, _receive, send):
        for name in sent:
            await send(messages[name].copy())
        if error is not None:
            raise error

    async def ignore(_message=None):
        return None

    labels = {"method": "GET", "route": "unmatched", "status": status}
    before = value("ett_http_requests_total", **labels)
    scope = {"type": "http", "scheme": "http", "method": "GET", "path": "/", "headers": []}
    guarded = BodyLimitMiddleware(app, auth_path="/auth/", limit_overrides={}, timeout_seconds=20)
    middleware = RequestMiddleware(guarded, trusted_hosts=(), path_prefix="", is_production=False, is_exposed=False)
    call = middleware(scope, ignore, ignore)
    if error is None:
        asyncio.run(call)
    else:
        with pytest.raises(error):
            asyncio.run(call)

    assert value("ett_http_requests_total", **labels) == before + 1


@pytest.fixture
def metrics_path(monkeypatch, tmp_path) -> Path:
    folder = tmp_path / "run" / "metrics"
    monkeypatch.setenv(MULTIPROC_DIR, str(folder))
    return folder


def test_several_workers_share_a_folder_of_their_owners_that_is_gone_afterwards(metrics_path, monkeypatch):
    with open_metrics_directory(workers=2):
        assert stat.S_IMODE(metrics_path.stat().st_mode) == 0o700
        (metrics_path / "gauge_livesum_17.db").touch()
        assert os.environ[MULTIPROC_DIR] == str(metrics_path)
    assert not metrics_path.exists()
    monkeypatch.delenv(MULTIPROC_DIR)
    with open_metrics_directory(workers=2):
        own = Path(os.environ[MULTIPROC_DIR])
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert not own.exists()


def test_one_worker_needs_no_folder(metrics_path):
    with open_metrics_directory(workers=1):
        assert MULTIPROC_DIR not in os.environ
    assert not metrics_path.exists()


def test_a_folder_that_cannot_be_made_stops_the_start(metrics_path):
    metrics_path.parent.write_text("a file")

    with (
        pytest.raises(InvalidSettings, match=rf"^{MULTIPROC_DIR} can't be used: [^:]+\.$"),
        open_metrics_directory(workers=2),
    ):
        pass


def test_who_starts_the_workers_has_no_metrics_of_its_own():
    """Otherwise its metrics would be created before the folder, or in a folder that another process uses."""
    loads = "import run_backend, app.cli, sys; sys.exit('prometheus_client' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", loads], cwd=ROOT, check=False, timeout=60).returncode == 0


def test_commands_leave_the_folder_of_the_service_alone(monkeypatch):
    """A command may share the service's environment, but the folder exists only while the service runs."""
    monkeypatch.setenv(MULTIPROC_DIR, "/nowhere")
    monkeypatch.setattr(sys, "argv", ["time-tracking", "--version"])

    with pytest.raises(SystemExit):
        app.cli.main()

    assert MULTIPROC_DIR not in os.environ

"""What is counted and measured, and how it is shown: in memory for one process, in files that add up for several.

Labels are bounded: the patterns of routes, codes of errors, words of ours. Nothing of a request's text ever is one.

A counter of something that was written is told after the commit, by whoever ran the transaction. Each value costs about
a microsecond.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.core.observability.metrics_directory import MULTIPROC_DIR, live_pids, metric_files
from app.core.time.clock import utc_now

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNMATCHED = "unmatched"
"""The route of a request that none matches."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

disable_created_metrics()
_folder = Path(os.environ[MULTIPROC_DIR]) if MULTIPROC_DIR in os.environ else None
if _folder is not None:
    mark_process_dead(os.getpid())  # of a process that had this number before
_registry = CollectorRegistry()

REQUESTS = Counter(
    "ett_http_requests",
    "Requests by method, route and status. `aborted`: no response was sent; `truncated`: it was cut off.",
    ["method", "route", "status"],
    registry=_registry,
)
REQUEST_DURATIONS = Histogram(
    "ett_http_request_duration_seconds",
    "Seconds from a request's head to the last byte of its answer, by route.",
    ["route"],
    buckets=BUCKETS_SECONDS,
    registry=_registry,
)
PROBLEMS = Counter(
    "ett_error_responses",
    "Answers that were problems, by status and stable code.",
    ["status", "code"],
    registry=_registry,
)
LOGIN_FAILURES = Counter(
    "ett_login_failures",
    "Logins refused: `wrong`, `wrong_code`, or `limited` after too many. After the commit.",
    ["reason"],
    registry=_registry,
)
AUDIT_EVENTS = Counter(
    "ett_audit_events",
    "Events put on record by requests, by what they are about. After the commit.",
    ["object_type"],
    registry=_registry,
)
EXPORT_ROWS = Counter(
    "ett_export_rows",
    "Rows written to exports, by format; of a CSV its lines, the header too.",
    ["format"],
    registry=_registry,
)
WORKER_STARTS = Counter("ett_worker_starts", "Workers started since the service was.", registry=_registry)


def _gauge(name: str, documentation: str, labels: Iterable[str] = (), *, mode: str = "livesum") -> Gauge:
    """A value of the present: of all living workers the sum, or what `mode` says."""
    return Gauge(name, documentation, labels, registry=_registry, multiprocess_mode=mode)  # type: ignore[arg-type]


WORKERS = _gauge("ett_workers", "Workers that serve.")
LAST_WORKER_START = _gauge("ett_last_worker_start_time_seconds", "When the youngest worker started.", mode="livemax")
BUILD_INFO = _gauge(
    "ett_build_info", "1, for this version and kind of database.", ["version", "database"], mode="livemax"
)
CONCURRENCY_LIMIT = _gauge(
    "ett_concurrency_limit", "How many requests may be in the database at once, by gate.", ["limiter"]
)
REQUESTS_RUNNING = _gauge("ett_requests_running", "How many are.", ["limiter"])
REQUESTS_QUEUED = _gauge("ett_requests_queued", "Requests that wait for a slot.", ["limiter"])
CONNECTIONS = _gauge("ett_pool_connections", "Connections that the pools may have.")
CONNECTIONS_IN_USE = _gauge("ett_pool_connections_in_use", "Connections that are taken from the pools.")


def record_worker_start(version: str, database: str) -> None:
    """Say that this process serves from now on."""
    WORKER_STARTS.inc()
    WORKERS.inc()
    LAST_WORKER_START.set(utc_now().timestamp())
    BUILD_INFO.labels(version, database).set(1)


def record_worker_stop() -> None:
    """Say that this process serves no more: its values of the present go, what it counted stays."""
    WORKERS.dec()
    if _folder is not None:
        mark_process_dead(os.getpid())


def count_request(method: str, route: str | None, status: int | str, seconds: float) -> None:
    """Count a request that ended; `route` is the pattern that it matched, None where there is none."""
    requests, durations = _request_metrics(method if method in METHODS else "other", route or UNMATCHED, status)
    requests.inc()
    durations.observe(seconds)


def instrument_pool(engine: Engine, size: int) -> None:
    """Keep account of the connections that are taken from the engine's pool, which has so many at most."""

    checked_out: set[ConnectionPoolEntry] = set()

    def on_checkout(_driver: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        checked_out.add(entry)
        CONNECTIONS_IN_USE.inc()

    def on_checkin(_driver: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        if entry in checked_out:  # not so where taking it failed
            checked_out.remove(entry)
            CONNECTIONS_IN_USE.dec()

    CONNECTIONS.inc(size)
    event.listen(engine, "checkout", on_checkout)
    event.listen(engine, "checkin", on_checkin)


def render(scrape_metrics: Iterable[Metric]) -> bytes:
    """Every metric in Prometheus' text format, and those that whoever is scraped has just looked up."""
    return generate_latest(_ScrapeCollector(scrape_metrics))


class _ScrapeCollector(Collector):
    def __init__(self, scrape_metrics: Iterable[Metric]) -> None:
        self._scrape_metrics = scrape_metrics

    def collect(self) -> Iterator[Metric]:
        return chain(_registry.collect() if _folder is None else _collect_from_workers(_folder), self._scrape_metrics)


def _collect_from_workers(folder: Path) -> Iterable[Metric]:
    for pid in live_pids(folder):
        if not _is_running(pid):
            with suppress(FileNotFoundError):  # another scrape has just done it
                mark_process_dead(pid)
    merged: Iterable[Metric] = MultiProcessCollector.merge(map(str, metric_files(folder)))
    return merged


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # the latter of another user, who has the number by now
        return False
    return True


@cache
def _request_metrics(method: str, route: str, status: int | str) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), REQUEST_DURATIONS.labels(route)

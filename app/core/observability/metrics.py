"""Prometheus metrics: in memory for one worker process, in shared files for several.

Label values are bounded: route patterns, error codes and fixed words. They never contain text from a request.

Counters of stored objects are incremented after the commit. An increment costs about a microsecond.
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
"""The route label of a request that matches no route."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

disable_created_metrics()
_folder = Path(os.environ[MULTIPROC_DIR]) if MULTIPROC_DIR in os.environ else None
if _folder is not None:
    mark_process_dead(os.getpid())  # a former process with the same id
_registry = CollectorRegistry()

REQUESTS = Counter(
    "ett_http_requests",
    "Requests by method, route and status. `aborted`: no response was sent; `truncated`: it was cut off.",
    ["method", "route", "status"],
    registry=_registry,
)
REQUEST_DURATIONS = Histogram(
    "ett_http_request_duration_seconds",
    "Seconds from the request headers to the last byte of the response, by route.",
    ["route"],
    buckets=BUCKETS_SECONDS,
    registry=_registry,
)
PROBLEMS = Counter(
    "ett_error_responses",
    "Error responses, by status and error code.",
    ["status", "code"],
    registry=_registry,
)
LOGIN_FAILURES = Counter(
    "ett_login_failures",
    "Failed logins by reason: `wrong` (credentials), `wrong_code`, `locked_code`, or `limited` (too many failed).",
    ["reason"],
    registry=_registry,
)
AUDIT_EVENTS = Counter(
    "ett_audit_events",
    "Audit events written by requests, by object type. Counted after the commit.",
    ["object_type"],
    registry=_registry,
)
EXPORT_ROWS = Counter(
    "ett_export_rows",
    "Rows written to exports, by format. For CSV, lines including the header.",
    ["format"],
    registry=_registry,
)
WORKER_STARTS = Counter(
    "ett_worker_starts", "Worker processes started since the service was started.", registry=_registry
)


def _gauge(name: str, documentation: str, labels: Iterable[str] = (), *, mode: str = "livesum") -> Gauge:
    """A gauge that is summed over all running worker processes, or merged as `mode` says."""
    return Gauge(name, documentation, labels, registry=_registry, multiprocess_mode=mode)  # type: ignore[arg-type]


WORKERS = _gauge("ett_workers", "Running worker processes.")
LAST_WORKER_START = _gauge(
    "ett_last_worker_start_time_seconds", "Unix time at which the newest worker process started.", mode="livemax"
)
BUILD_INFO = _gauge(
    "ett_build_info",
    "1, with labels for the version and the kind of database.",
    ["version", "database"],
    mode="livemax",
)
CONCURRENCY_LIMIT = _gauge(
    "ett_concurrency_limit", "Maximum number of concurrent database requests, by limiter.", ["limiter"]
)
REQUESTS_RUNNING = _gauge("ett_requests_running", "Requests that hold a permit, by limiter.", ["limiter"])
REQUESTS_QUEUED = _gauge("ett_requests_queued", "Requests that wait for a permit, by limiter.", ["limiter"])
CONNECTIONS = _gauge("ett_pool_connections", "Maximum size of the database connection pools.")
CONNECTIONS_IN_USE = _gauge("ett_pool_connections_in_use", "Database connections in use.")


def record_worker_start(version: str, database: str) -> None:
    """Record that this worker process has started."""
    WORKER_STARTS.inc()
    WORKERS.inc()
    LAST_WORKER_START.set(utc_now().timestamp())
    BUILD_INFO.labels(version, database).set(1)


def record_worker_stop() -> None:
    """Record that this worker process stops. Its gauges are removed, and its counters stay."""
    WORKERS.dec()
    if _folder is not None:
        mark_process_dead(os.getpid())


def count_request(method: str, route: str | None, status: int | str, seconds: float) -> None:
    """Count a finished request. `route` is the pattern that it matched, or None."""
    requests, durations = _request_metrics(method if method in METHODS else "other", route or UNMATCHED, status)
    requests.inc()
    durations.observe(seconds)


def instrument_pool(engine: Engine, size: int) -> None:
    """Count the connections in use of the engine's pool, whose maximum is `size`."""

    checked_out: set[ConnectionPoolEntry] = set()

    def on_checkout(_driver: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        checked_out.add(entry)
        CONNECTIONS_IN_USE.inc()

    def on_checkin(_driver: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        if entry in checked_out:  # not if the checkout failed
            checked_out.remove(entry)
            CONNECTIONS_IN_USE.dec()

    CONNECTIONS.inc(size)
    event.listen(engine, "checkout", on_checkout)
    event.listen(engine, "checkin", on_checkin)


def render(scrape_metrics: Iterable[Metric]) -> bytes:
    """Return all metrics in Prometheus' text format, with those that were collected for this scrape only."""
    return generate_latest(_ScrapeCollector(scrape_metrics))


class _ScrapeCollector(Collector):
    def __init__(self, scrape_metrics: Iterable[Metric]) -> None:
        self._scrape_metrics = scrape_metrics

    def collect(self) -> Iterator[Metric]:
        return chain(_registry.collect() if _folder is None else _collect_from_workers(_folder), self._scrape_metrics)


def _collect_from_workers(folder: Path) -> Iterable[Metric]:
    for pid in live_pids(folder):
        if not _is_running(pid):
            with suppress(FileNotFoundError):  # a concurrent scrape has removed it
                mark_process_dead(pid)
    merged: Iterable[Metric] = MultiProcessCollector.merge(map(str, metric_files(folder)))
    return merged


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # PermissionError: the id now belongs to another user's process
        return False
    return True


@cache
def _request_metrics(method: str, route: str, status: int | str) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), REQUEST_DURATIONS.labels(route)

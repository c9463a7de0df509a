"""Metrics for Prometheus."""

import asyncio
import hmac
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from app.api.dependencies.transactions import get_runtime
from app.api.http.problems import RouteNotFound
from app.api.openapi.error_responses import error_responses
from app.api.operations.health import ANY_REQUEST_ERRORS, check_ready
from app.core.config.settings import Settings
from app.core.database.session import Session
from app.core.errors import NotAuthenticated, Unavailable
from app.core.observability.disk_space import MIB, free_bytes
from app.core.observability.metrics import CONTENT_TYPE, render
from app.core.server.runtime import Runtime
from app.core.time.clock import monotonic_seconds, utc_now
from app.services.reports import presence

PROBE_TIMEOUT_SECONDS = 1.5
PROBE_CACHE_SECONDS = 10
router = APIRouter(tags=["health"])


class MetricsTokenRequired(NotAuthenticated):
    code = "metrics_token_required"
    title = "Metrics token required"


@router.get(
    "/metrics",
    summary="Get metrics",
    response_class=Response,
    responses=error_responses(*ANY_REQUEST_ERRORS, MetricsTokenRequired, RouteNotFound)
    | {200: {"content": {"text/plain": {"schema": {"type": "string", "maxLength": 2**24}}}}},
)
async def get_metrics(request: Request) -> Response:
    """The sums of all worker processes' metrics, in the Prometheus text format.

    If METRICS_TOKEN is set, send `Authorization: Bearer METRICS_TOKEN`. If it is not set, and the service accepts
    requests from the network, the response is 404.
    """
    runtime = get_runtime(request)
    _check_token(runtime.settings, request.headers.get("authorization", ""))
    database_probe = request.app.state.database_probe
    assert isinstance(database_probe, DatabaseProbe)
    result = await database_probe.get_result()
    body = await asyncio.to_thread(lambda: render(_collect_metrics(runtime.settings, result)))
    return Response(body, headers={"Content-Type": CONTENT_TYPE})


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Values read from the database."""

    open_entries: int
    needing_review: int
    is_ready: bool


class DatabaseProbe:
    """Reads ProbeResult for scrapes, at most once in PROBE_CACHE_SECONDS and never concurrently."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._result: ProbeResult | None = None
        self._probed_at = float("-inf")

    async def get_result(self) -> ProbeResult | None:
        """Return the result, or None if the database does not respond within PROBE_TIMEOUT_SECONDS.

        The probe then continues in the background, because its thread can't be interrupted.
        """
        if not self._is_fresh():
            await asyncio.wait([self._runtime.run_in_background(self, self._probe)], timeout=PROBE_TIMEOUT_SECONDS)
        return self._result if self._is_fresh() else None

    def _is_fresh(self) -> bool:
        return monotonic_seconds() - self._probed_at < PROBE_CACHE_SECONDS

    async def _probe(self) -> None:
        self._result = await self._runtime.request_limiter.run(self._query, writes=False)
        self._probed_at = monotonic_seconds()

    def _query(self) -> ProbeResult:
        with self._runtime.database.read_transaction("metrics") as session:
            open_entries, needing_review = presence.count_open(session, at=utc_now())
            return ProbeResult(open_entries, needing_review, _is_ready(session))


def _is_ready(session: Session) -> bool:
    try:
        check_ready(session)
    except (Unavailable, DBAPIError):  # DBAPIError: the database is read-only
        return False
    return True


def _check_token(settings: Settings, authorization: str) -> None:
    """Raise MetricsTokenRequired, or RouteNotFound if metrics are off."""
    if settings.METRICS_TOKEN is None:
        if settings.is_exposed:
            raise RouteNotFound("Metrics are off because METRICS_TOKEN is not set. Set it to turn them on.")
        return
    scheme, _, token = authorization.partition(" ")
    expected_token = settings.METRICS_TOKEN.get_secret_value()
    if not (hmac.compare_digest(token.encode("latin-1"), expected_token.encode()) and scheme.lower() == "bearer"):
        raise MetricsTokenRequired("The metrics token is missing or wrong. Send Authorization: Bearer METRICS_TOKEN.")


def _collect_metrics(settings: Settings, result: ProbeResult | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "ett_database_up", "1 if the database responded to the last check, at most 10 s ago.", result is not None
    )
    yield GaugeMetricFamily(
        "ett_ready", "1 if /health/ready would return 200, else 0.", result is not None and result.is_ready
    )
    disk = GaugeMetricFamily("ett_disk_free_bytes", "Free disk space in bytes, by the volume's use.", labels=["volume"])
    for volume, free in free_bytes(settings).items():
        disk.add_metric([volume], free)
    yield disk
    min_free_bytes = settings.MIN_FREE_DISK_MB * MIB
    yield GaugeMetricFamily(
        "ett_disk_min_free_bytes", "Free disk space in bytes below which the service is not ready.", min_free_bytes
    )
    if result is not None:
        yield GaugeMetricFamily("ett_open_entries", "Open entries.", result.open_entries)
        review_help = "Open entries that need review."
        yield GaugeMetricFamily("ett_open_entries_needing_review", review_help, result.needing_review)

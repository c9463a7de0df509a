"""Metrics, for Prometheus."""

import asyncio
import hmac
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from starlette.responses import Response

from app.api.dependencies.transactions import runtime_of
from app.api.http.problems import RouteNotFound, raises
from app.api.operations.health import OF_ANY, check_ready
from app.core.config.settings import Settings
from app.core.database.session import Session
from app.core.errors import NotAuthenticated, Unavailable
from app.core.observability.disk_space import MIB, free_bytes
from app.core.observability.metrics import CONTENT_TYPE, rendered
from app.core.server.runtime import Runtime
from app.core.time.clock import monotonic_seconds, utc_now
from app.services.reports import presence

WAIT_SECONDS = 1.5
REMEMBERED_SECONDS = 10
router = APIRouter(tags=["health"])


class MetricsTokenNeeded(NotAuthenticated):
    code = "metrics_token_required"
    title = "Metrics token required"


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses=raises(*OF_ANY, MetricsTokenNeeded, RouteNotFound)
    | {200: {"content": {"text/plain": {"schema": {"type": "string", "maxLength": 2**24}}}}},
)
async def read_metrics(request: Request) -> Response:
    """Every worker's, added up, in Prometheus' text format.

    Where METRICS_TOKEN is set it needs `Authorization: Bearer METRICS_TOKEN`. Where it isn't, and others can reach the
    service, there are no metrics.
    """
    runtime = runtime_of(request)
    _check_token(runtime.settings, request.headers.get("authorization", ""))
    observer = request.app.state.observer
    assert isinstance(observer, Observer)
    seen = await observer.now()
    shown = await asyncio.to_thread(lambda: rendered(_families(runtime.settings, seen)))
    return Response(shown, headers={"Content-Type": CONTENT_TYPE})


@dataclass(frozen=True, slots=True)
class Seen:
    """What only the database knows."""

    open_entries: int
    needing_review: int
    is_ready: bool


class Observer:
    """Looks into the database for who scrapes: not more often than every REMEMBERED_SECONDS, one look at a time."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._seen: Seen | None = None
        self._seen_at = float("-inf")

    async def now(self) -> Seen | None:
        """What is there; None where the database didn't say so within WAIT_SECONDS. The question isn't given up then:
        its thread can't be, so it is waited for behind the answer."""
        if not self._is_fresh():
            await asyncio.wait([self._runtime.behind(self, self._look)], timeout=WAIT_SECONDS)
        return self._seen if self._is_fresh() else None

    def _is_fresh(self) -> bool:
        return monotonic_seconds() - self._seen_at < REMEMBERED_SECONDS

    async def _look(self) -> None:
        self._seen = await self._runtime.gate.run(self._read, writes=False)
        self._seen_at = monotonic_seconds()

    def _read(self) -> Seen:
        with self._runtime.database.reading("metrics") as session:
            open_entries, needing_review = presence.count(session, at=utc_now())
            return Seen(open_entries, needing_review, _is_ready(session))


def _is_ready(session: Session) -> bool:
    try:
        check_ready(session)
    except Unavailable:
        return False
    return True


def _check_token(settings: Settings, authorization: str) -> None:
    """Raises MetricsTokenNeeded, RouteNotFound where the metrics are off."""
    if settings.METRICS_TOKEN is None:
        if settings.is_exposed:
            raise RouteNotFound("There are no metrics here: METRICS_TOKEN is not set.")
        return
    scheme, _, given = authorization.partition(" ")
    wanted = settings.METRICS_TOKEN.get_secret_value()
    if not (hmac.compare_digest(given.encode("latin-1"), wanted.encode()) and scheme.lower() == "bearer"):
        raise MetricsTokenNeeded("Send Authorization: Bearer with the token of METRICS_TOKEN.")


def _families(settings: Settings, seen: Seen | None) -> Iterator[Metric]:
    yield GaugeMetricFamily("ett_database_up", "1 where the database answered this scrape, else 0.", seen is not None)
    yield GaugeMetricFamily(
        "ett_ready", "1 where /health/ready would say so, else 0.", seen is not None and seen.is_ready
    )
    disk = GaugeMetricFamily("ett_disk_free_bytes", "Free bytes, by what is written there.", labels=["volume"])
    for place, free in free_bytes(settings).items():
        disk.add_metric([place], free)
    yield disk
    least = settings.MIN_FREE_DISK_MB * MIB
    yield GaugeMetricFamily("ett_disk_min_free_bytes", "With less than this the service is not ready.", least)
    if seen is not None:
        yield GaugeMetricFamily("ett_open_entries", "Entries that run.", seen.open_entries)
        review = "Entries that run and need review."
        yield GaugeMetricFamily("ett_open_entries_needing_review", review, seen.needing_review)

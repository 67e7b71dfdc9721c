"""The API's metrics for Prometheus. docs/operations/metrics.md tells operators what they mean."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.schemas import API_PREFIX
from core.errors import StorageError
from core.fleet.queue_state import QueueState
from core.monitoring.census import Census, RecentCensus

logger = logging.getLogger(__name__)

HTTP_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
UNKNOWN_ROUTE = "unknown"
"""The route of requests that match none: clients must not be able to make series."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ApiMetrics:
    """What one API process exports: its own requests and memory, and the census, which every API process exports."""

    def __init__(self, census: RecentCensus) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "limpid_http_request_duration_seconds",
            "HTTP requests, from the first byte to the last of the answer. Long polls and event streams are long.",
            ["method", "route", "status"],
            buckets=HTTP_BUCKETS_S,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "limpid_http_requests_in_progress", "HTTP requests that are being answered.", registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(CensusCollector(census))


class CensusCollector(Collector):
    """Gauges of what the database knows: of the whole installation, so take the max over API processes, not the sum."""

    def __init__(self, census: RecentCensus) -> None:
        self._census = census

    def collect(self) -> Iterator[Metric]:
        """The census as metrics; when the database does not answer, only the news that it does not."""
        success = GaugeMetricFamily("limpid_census_success", "1 when the database answered this scrape, else 0.")
        try:
            census = self._census.get()
        except StorageError as error:
            logger.warning("census_failed", extra={"reason": error.detail})
            success.add_metric([], 0.0)
            yield success
            return
        success.add_metric([], 1.0)
        yield success
        yield from _jobs(census)
        yield from _queues(census)
        yield from _deliveries(census)

    def describe(self) -> Sequence[Metric]:
        """Nothing: registering must not ask the database."""
        return ()


class RequestMetricsMiddleware:
    """Times each HTTP request under its route's template, never under its path."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500  # what the server makes of an exception

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began_at = time.perf_counter()
        with self._metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, receive, send_and_note)
            finally:
                method = scope["method"] if scope["method"] in _METHODS else "OTHER"
                labels = (method, _template_of(scope), f"{status // 100}xx")
                self._metrics.requests.labels(*labels).observe(time.perf_counter() - began_at)


def _template_of(scope: Scope) -> str:
    """The path of the route that answered, with the prefix that its router was included under."""
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return UNKNOWN_ROUTE
    return f"{API_PREFIX}{path}" if scope["path"].startswith(f"{API_PREFIX}/") else str(path)


def _jobs(census: Census) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("limpid_jobs", "Jobs that wait or run.", labels=["status", "preset"])
    for group in census.jobs:
        jobs.add_metric([group.status.value, group.preset], group.count)
    yield jobs


def _queues(census: Census) -> Iterator[Metric]:
    now = census.taken_at
    gauges: Sequence[tuple[str, str, Callable[[QueueState], float]]] = (
        ("limpid_queue_depth", "Jobs that wait in the queue.", lambda queue: queue.waiting),
        (
            "limpid_queue_oldest_age_seconds",
            "For how long the oldest job that may run has waited; 0 when none does.",
            lambda queue: queue.oldest_age_s(now=now),
        ),
        ("limpid_queue_running", "Jobs of the queue that workers have.", lambda queue: queue.running),
        ("limpid_queue_workers", "Live worker processes that serve the queue.", lambda queue: queue.workers),
        (
            "limpid_queue_stalled",
            "1 when a worker is idle and yet a job waits that it could run.",
            lambda queue: queue.is_stalled(now=now),
        ),
    )
    for name, text, value_of in gauges:
        family = GaugeMetricFamily(name, text, labels=["queue"])
        for queue in census.queues:
            family.add_metric([queue.name], value_of(queue))
        yield family


def _deliveries(census: Census) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "limpid_webhook_deliveries_pending",
        "Webhook deliveries to be sent, or to be sent again.",
        value=census.deliveries.pending,
    )
    yield GaugeMetricFamily(
        "limpid_webhook_oldest_due_age_seconds",
        "For how long the oldest delivery that is due has waited; 0 when none is due.",
        value=census.deliveries.oldest_age_s(now=census.taken_at),
    )

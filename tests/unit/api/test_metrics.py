"""GET /metrics of the API: what it tells, to whom, and that clients cannot make series."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from api.main import create_app
from core.access.keys import Scope
from core.backend import Backend
from core.fleet.queue_state import QueueState
from core.jobs import Device, JobStatus, Lane
from core.monitoring.census import DeliveryBacklog, JobCount
from core.settings import Settings
from tests.access_fakes import FakeKeyRepository
from tests.factories import NOON
from tests.monitoring_fakes import FakeCensusTaker, FakeFleet
from tests.unit.api.test_auth import key_of

REQUESTS = "limpid_http_request_duration_seconds_count"


def samples_of(client: TestClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = client.get("/metrics").text
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}


def sample(client: TestClient, name: str, **labels: str) -> float | None:
    return samples_of(client).get((name, frozenset(labels.items())))


def test_requests_are_counted_under_their_route_and_never_their_path(client: TestClient) -> None:
    client.get("/api/v1/presets")
    for number in range(3):
        client.get(f"/api/v1/jobs/{number}")
        client.get(f"/nowhere/{number}")
    client.request("BREW", "/api/v1/presets")

    requests = {labels: value for (name, labels), value in samples_of(client).items() if name == REQUESTS}

    assert requests == {
        frozenset({("method", method), ("route", route), ("status", status)}): count
        for method, route, status, count in (
            ("GET", "/api/v1/presets", "2xx", 1),
            ("GET", "/api/v1/jobs/{job_id}", "4xx", 3),
            ("GET", "unknown", "4xx", 3),
            ("OTHER", "/api/v1/presets", "4xx", 1),
        )
    }


def test_the_simple_interface_has_its_own_route(client: TestClient) -> None:
    client.get("/api/health")

    assert sample(client, REQUESTS, method="GET", route="/api/health", status="2xx") == 1


def test_the_census_is_told(
    client: TestClient, fleet: FakeFleet, census_taker: FakeCensusTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.queues = [
        QueueState(
            device=Device.CPU,
            lane=Lane.BULK,
            waiting=7,
            waiting_since=NOON,
            running=2,
            workers=3,
            idle_since=NOON,
        )
    ]
    census_taker.jobs = [JobCount(status=JobStatus.QUEUED, preset="speech", count=7)]
    census_taker.deliveries = DeliveryBacklog(pending=5, due_since=NOON)
    monkeypatch.setattr(client.app.state.census, "_now", lambda: NOON + timedelta(minutes=10))  # type: ignore[attr-defined]

    told = samples_of(client)

    queue = frozenset({("queue", "cpu.bulk")})
    assert told["limpid_queue_depth", queue] == 7
    assert told["limpid_queue_oldest_age_seconds", queue] == 600
    assert told["limpid_queue_running", queue] == 2
    assert told["limpid_queue_workers", queue] == 3
    assert told["limpid_queue_stalled", queue] == 1
    assert told["limpid_jobs", frozenset({("status", "queued"), ("preset", "speech")})] == 7
    assert told["limpid_webhook_deliveries_pending", frozenset()] == 5
    assert told["limpid_webhook_oldest_due_age_seconds", frozenset()] == 600
    assert told["limpid_census_success", frozenset()] == 1


def test_without_its_database_the_api_still_tells_of_itself(client: TestClient, fleet: FakeFleet) -> None:
    fleet.is_down = True

    told = {name for name, _ in samples_of(client)}

    assert sample(client, "limpid_census_success") == 0
    assert "limpid_http_requests_in_progress" in told
    assert "limpid_queue_depth" not in told


def test_with_auth_on_metrics_are_for_keys_that_may_read_them(
    settings: Settings, backend: Backend, keys: FakeKeyRepository
) -> None:
    server = TestClient(create_app(settings.model_copy(update={"auth": "on"}), backend))
    statuses = [
        server.get("/metrics", headers=headers).status_code
        for headers in ({}, key_of(keys, Scope.READ), key_of(keys, Scope.METRICS), key_of(keys, Scope.ADMIN))
    ]

    assert statuses == [401, 403, 200, 200]
    assert server.get("/api/v1/jobs", headers=key_of(keys, Scope.METRICS)).status_code == 403


def test_metrics_can_be_made_public(settings: Settings, backend: Backend) -> None:
    server = TestClient(create_app(settings.model_copy(update={"auth": "on", "metrics_public": True}), backend))

    assert server.get("/metrics").status_code == 200

"""Limits of API keys over HTTP: 429, Retry-After and the RateLimit fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from core.access.keys import Scope, create_key
from core.backend import Backend
from core.settings import Settings
from tests.access_fakes import FakeKeyRepository
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import start
from tests.unit.api.recordings import wav

JOBS = "/api/v1/jobs"
DATA = wav()


@pytest.fixture
def server(settings: Settings, backend: Backend) -> TestClient:
    """Lets each key have two jobs waiting, and send three recordings' bytes a day."""
    limits = {"auth": "on", "key_max_queued": 2, "key_max_bytes_per_day": 3 * len(DATA)}
    return TestClient(create_app(settings.model_copy(update=limits), backend), raise_server_exceptions=False)


@pytest.fixture
def headers(keys: FakeKeyRepository) -> dict[str, str]:
    return new_key(keys)


def new_key(keys: FakeKeyRepository) -> dict[str, str]:
    _, token = create_key("test", [Scope.SUBMIT, Scope.READ], keys=keys, now=datetime.now(UTC))
    return {"Authorization": f"Bearer {token}"}


def send(server: TestClient, headers: dict[str, str], data: bytes = DATA) -> Any:  # noqa: ANN401
    return server.post(
        JOBS, content=data, headers={"Content-Type": "audio/wav", **headers}, params={"preset": "clean-only"}
    )


def test_every_submission_says_what_is_left(server: TestClient, headers: dict[str, str]) -> None:
    response = send(server, headers)

    assert response.status_code == 202
    assert response.headers["RateLimit-Policy"].startswith('"queued";q=2, "bytes";q=')
    assert response.headers["RateLimit"].startswith(f'"queued";r=1, "bytes";r={2 * len(DATA)};t=')


def test_full_queue_answers_429_and_keeps_nothing(
    server: TestClient, headers: dict[str, str], keys: FakeKeyRepository, store: FakeObjectStore
) -> None:
    send(server, headers)
    send(server, headers)

    response = send(server, headers)

    assert (response.status_code, response.json()["code"]) == (429, "limit_reached")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert int(response.headers["Retry-After"]) > 0
    assert response.headers["RateLimit"].startswith('"queued";r=0')
    assert len(store.objects) == 2
    assert send(server, new_key(keys)).status_code == 202


def test_bytes_of_a_day_run_out(server: TestClient, headers: dict[str, str], jobs: FakeJobRepository) -> None:
    for _ in range(3):
        start(jobs, send(server, headers).json()["id"])

    response = send(server, headers)

    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 86_000
    assert "bytes in 24 hours" in response.json()["detail"]


def test_recording_that_would_pass_the_limit_is_refused_by_its_announced_size(
    server: TestClient, headers: dict[str, str], store: FakeObjectStore
) -> None:
    assert send(server, headers, bytes(3 * len(DATA) + 1)).status_code == 429
    assert store.objects == {}


def test_recording_of_unannounced_size_is_refused_once_it_is_known(
    server: TestClient, headers: dict[str, str], store: FakeObjectStore
) -> None:
    response = server.post(
        JOBS,
        content=iter([DATA, bytes(3 * len(DATA))]),
        headers={"Content-Type": "audio/wav", **headers},
        params={"preset": "clean-only"},
    )

    assert response.status_code == 429
    assert store.objects == {}


def test_upload_in_parts_is_refused_before_it_begins(server: TestClient, headers: dict[str, str]) -> None:
    response = server.post("/api/v1/uploads", json={"name": "a.wav", "bytes": 3 * len(DATA) + 1}, headers=headers)

    assert (response.status_code, response.json()["code"]) == (429, "limit_reached")


def test_reply_under_a_key_is_replayed_although_the_queue_is_full(server: TestClient, headers: dict[str, str]) -> None:
    headers["Idempotency-Key"] = "k"
    first = send(server, headers)
    send(server, {**headers, "Idempotency-Key": "other"})

    again = send(server, headers)

    assert (again.status_code, again.content) == (202, first.content)
    assert send(server, {**headers, "Idempotency-Key": "third"}).status_code == 429


def test_without_authentication_nobody_is_counted(settings: Settings, backend: Backend) -> None:
    client = TestClient(create_app(settings.model_copy(update={"key_max_queued": 1}), backend))

    responses = [send(client, {}) for _ in range(3)]

    assert [response.status_code for response in responses] == [202] * 3
    assert "RateLimit" not in responses[0].headers

"""Who is told of a batch: of its jobs, of its end, or of both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.main import create_app
from core.backend import Backend
from core.settings import Settings
from core.webhooks.events import BATCH_EVENTS, JOB_EVENTS, EventType, Webhook
from core.webhooks.signing import new_secret
from tests.batch_fakes import FakeBatchRepository
from tests.fakes import PRIVATE_NAME, FakeJobRepository
from tests.unit.api.batch_requests import BATCHES, post_files, post_items, url_item
from tests.unit.api.recordings import wav

HOOK = "https://example.com/hooks/batches"
FILE = ("talk.wav", wav(0.5))


@pytest.fixture
def app(settings: Settings, backend: Backend) -> FastAPI:
    """A server that can sign."""
    return create_app(settings.model_copy(update={"webhook_secret": SecretStr(new_secret())}), backend)


def told_of_both(
    response: Any,  # noqa: ANN401
    batches: FakeBatchRepository,
    jobs: FakeJobRepository,
) -> tuple[Webhook | None, Webhook | None]:
    """The webhooks of the batch and of its first job."""
    assert response.status_code == 202, response.text
    batch = response.json()
    return batches.get(batch["id"]).webhook, jobs.get(batch["items"][0]["job_id"]).webhook


def test_the_default_is_to_be_told_of_every_job_and_of_the_end(
    client: TestClient, batches: FakeBatchRepository, jobs: FakeJobRepository
) -> None:
    response = post_items(client, url_item(1), webhook={"url": HOOK})

    of_batch, of_job = told_of_both(response, batches, jobs)

    assert of_batch == Webhook(url=HOOK, events=BATCH_EVENTS)
    assert of_job == Webhook(url=HOOK, events=JOB_EVENTS)


def test_one_call_for_the_whole_batch_can_be_had(
    client: TestClient, batches: FakeBatchRepository, jobs: FakeJobRepository
) -> None:
    response = post_files(client, FILE, webhook={"url": HOOK, "events": ["batch.completed"]})

    of_batch, of_job = told_of_both(response, batches, jobs)

    assert of_batch == Webhook(url=HOOK, events=BATCH_EVENTS)
    assert of_job is None


def test_jobs_alone_can_be_had(client: TestClient, batches: FakeBatchRepository, jobs: FakeJobRepository) -> None:
    response = post_files(client, FILE, webhook={"url": HOOK, "events": ["job.failed"]})

    of_batch, of_job = told_of_both(response, batches, jobs)

    assert of_batch is None
    assert of_job == Webhook(url=HOOK, events=(EventType.JOB_FAILED,))


def test_a_forbidden_url_refuses_the_batch(client: TestClient, jobs: FakeJobRepository) -> None:
    webhook = {"url": f"https://{PRIVATE_NAME}/hook", "events": ["batch.completed"]}

    response = post_items(client, url_item(1), webhook=webhook)

    assert (response.status_code, response.json()["code"]) == (422, "forbidden_url")
    assert jobs.every() == []


def test_a_single_job_has_no_batch_to_hear_of(client: TestClient) -> None:
    options = {"webhook": {"url": HOOK, "events": ["batch.completed"]}}

    response = client.post("/api/v1/jobs", files={"file": FILE}, data={"options": json.dumps(options)})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_options")


def test_another_webhook_is_another_request(client: TestClient) -> None:
    key = {"Idempotency-Key": "batch-1"}
    body = {"preset": "clean-only", "items": [url_item(1)]}
    first = client.post(BATCHES, json={**body, "webhook": {"url": HOOK}}, headers=key)

    again = client.post(BATCHES, json={**body, "webhook": {"url": HOOK}}, headers=key)
    other = client.post(BATCHES, json=body, headers=key)

    assert (first.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")

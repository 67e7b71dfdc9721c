"""A job whose recording is elsewhere, and a job that calls back: what POST /jobs takes and refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.multipart import MAX_FIELD_BYTES
from core.jobs import InputFile, JobStatus, Lane
from core.webhooks.events import JOB_EVENTS, EventType, Webhook
from core.webhooks.signing import new_secret
from tests.fakes import PRIVATE_NAME, FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.unit.api.recordings import wav

JOBS = "/api/v1/jobs"
URL = "https://example.com/talks/One%20talk.ogg?token=1"
HOOK = "https://example.com/hooks/limpid"


def submit_url(client: TestClient, url: Any = URL, **more: Any) -> Any:  # noqa: ANN401 - JSON in, a response out
    return client.post(JOBS, json={"input": {"url": url}, "preset": "clean-only", **more})


def submit_file(client: TestClient, options: dict[str, Any]) -> Any:  # noqa: ANN401
    data = {"preset": "clean-only", "options": json.dumps(options)}
    return client.post(JOBS, files={"file": ("talk.wav", wav())}, data=data)


def test_url_becomes_a_queued_job_that_is_not_fetched_yet(
    client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository, queue: FakeJobQueue
) -> None:
    response = submit_url(client, lane="bulk", metadata={"episode": 12})

    assert response.status_code == 202
    told = response.json()
    assert response.headers["Location"] == f"{JOBS}/{told['id']}"
    assert (told["status"], told["preset"], told["lane"]) == ("queued", "clean-only", "bulk")
    assert told["input"] == {
        "name": "One talk.ogg",
        "media_type": "application/octet-stream",
        "bytes": 0,
        "sha256": None,
        "duration_s": None,
        "sample_rate": None,
        "channels": None,
    }
    assert "token" not in response.text
    stored = jobs.get(told["id"])
    assert (stored.status, stored.lane) == (JobStatus.QUEUED, Lane.BULK)
    assert stored.input == InputFile(
        name="One talk.ogg",
        key=f"jobs/{told['id']}/input",
        bytes=0,
        sha256="",
        media_type="application/octet-stream",
        url=URL,
    )
    assert store.objects == {}
    assert queue.sent == [(told["id"], "cpu.bulk")]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.com/a.wav",
        "file:///etc/passwd",
        "http://user:password@example.com/a.wav",
        "http://example.com:22/a.wav",
        "http://127.0.0.1:8000/a.wav",
        "http://[::1]:8000/a.wav",
        "http://169.254.169.254/latest/meta-data/",
        f"http://{PRIVATE_NAME}/a.wav",
    ],
)
def test_url_that_must_not_be_requested_is_refused_at_once(
    client: TestClient, queue: FakeJobQueue, jobs: FakeJobRepository, url: str
) -> None:
    for response in (submit_url(client, url), submit_file(client, {"webhook": {"url": url}})):
        assert response.status_code == 422
        assert response.json()["code"] == "forbidden_url"
    assert jobs.list().jobs == []
    assert queue.sent == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"input": null}',
        b'{"input": {}}',
        b'{"input": {"url": 5}}',
        b'{"input": {"upload_id": "x"}}',
        b'{"input": {"url": "https://example.com/a.wav", "headers": {}}}',
        b'{"input": {"url": "https://example.com/a.wav"}, "prest": "speech"}',
        b'{"input": {"url": "https://example.com/a\\u0000.wav"}}',
        b'{"input": {"url": "https://example.com/' + b"a" * 2048 + b'"}}',
        b'{"input": {"url": "https://example.com/a.wav"}, "preset": "clean-only", "overrides": {"volume": 11}}',
    ],
)
def test_json_that_is_no_job_is_refused(client: TestClient, jobs: FakeJobRepository, body: bytes) -> None:
    response = client.post(JOBS, content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 422
    assert response.json()["code"] == "invalid_options"
    assert jobs.list().jobs == []


def test_json_without_end_is_refused(client: TestClient) -> None:
    response = client.post(JOBS, content=b" " * (MAX_FIELD_BYTES + 1), headers={"Content-Type": "application/json"})

    assert response.status_code == 413


def test_preset_may_be_named_in_the_query(client: TestClient) -> None:
    body = {"input": {"url": URL}}

    assert client.post(JOBS, params={"preset": "clean-only"}, json=body).json()["preset"] == "clean-only"
    assert client.post(JOBS, params={"options": "{}"}, json=body).status_code == 422


def test_same_url_sent_again_with_its_idempotency_key_is_one_job(client: TestClient, queue: FakeJobQueue) -> None:
    headers = {"Idempotency-Key": "k1"}
    body = {"input": {"url": URL}, "preset": "clean-only"}

    first, again = (client.post(JOBS, json=body, headers=headers) for _ in range(2))
    other = client.post(JOBS, json={**body, "input": {"url": f"{URL}2"}}, headers=headers)

    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert first.json()["id"] == again.json()["id"]
    assert len(queue.sent) == 1


@pytest.mark.parametrize("kind", ["file", "url"])
def test_webhook_is_kept_with_the_job_and_not_shown(client: TestClient, jobs: FakeJobRepository, kind: str) -> None:
    secret = new_secret()
    webhook = {"url": HOOK, "events": ["job.failed", "job.succeeded", "job.failed"], "secret": secret}

    response = submit_file(client, {"webhook": webhook}) if kind == "file" else submit_url(client, webhook=webhook)

    assert response.status_code == 202
    assert secret not in response.text
    assert HOOK not in response.text
    assert jobs.get(response.json()["id"]).webhook == Webhook(
        url=HOOK, events=(EventType.JOB_FAILED, EventType.JOB_SUCCEEDED), secret=secret
    )


def test_webhook_without_more_is_for_every_end(client: TestClient, jobs: FakeJobRepository) -> None:
    response = submit_file(client, {"webhook": {"url": HOOK}})

    assert jobs.get(response.json()["id"]).webhook == Webhook(url=HOOK, events=JOB_EVENTS)


@pytest.mark.parametrize(
    "webhook",
    [
        HOOK,
        {},
        {"url": HOOK, "events": []},
        {"url": HOOK, "events": ["job.exploded"]},
        {"url": HOOK, "events": ["webhook.test"]},
        {"url": HOOK, "secret": "hunter2"},
        {"url": HOOK, "secret": "whsec_c2hvcnQ="},
        {"url": HOOK, "method": "GET"},
    ],
)
def test_webhook_that_is_none_is_refused(
    client: TestClient,
    store: FakeObjectStore,
    webhook: Any,  # noqa: ANN401
) -> None:
    response = submit_file(client, {"webhook": webhook})

    assert response.status_code == 422
    assert response.json()["code"] == "invalid_options"
    assert "hunter2" not in response.text
    assert store.objects == {}

"""A job of an earlier job's recording, which the client does not send again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.fixed_ids import UNKNOWN_ID
from tests.unit.api.jobs_on_record import finish, start
from tests.unit.api.recordings import wav

JOBS = "/api/v1/jobs"
DATA = wav(1.0)
URL = "https://example.com/talk.ogg"


def submit_recording(client: TestClient) -> str:
    response = client.post(JOBS, files={"file": ("talk.wav", DATA)}, data={"preset": "clean-only"})
    assert response.status_code == 202
    return str(response.json()["id"])


def submit_again(client: TestClient, job_id: str, **more: Any) -> Any:  # noqa: ANN401 - JSON in, a response out
    headers = more.pop("headers", {})
    return client.post(JOBS, json={"input": {"job_id": job_id}, "preset": "clean-only", **more}, headers=headers)


def test_recording_of_an_earlier_job_becomes_another_job(
    client: TestClient, jobs: FakeJobRepository, queue: FakeJobQueue, store: FakeObjectStore
) -> None:
    first = submit_recording(client)

    told = submit_again(client, first, lane="bulk", overrides={"strength": 0.5}).json()

    assert told["id"] != first
    assert told["input"] == client.get(f"{JOBS}/{first}").json()["input"]
    assert (told["status"], told["options"]["strength"]) == ("queued", 0.5)
    assert queue.sent[-1] == (told["id"], "cpu.bulk")
    assert store.objects[jobs.get(told["id"]).input.key] == DATA


def test_second_job_keeps_the_recording_when_the_first_is_deleted(client: TestClient) -> None:
    first = submit_recording(client)
    second = submit_again(client, first).json()["id"]

    assert client.delete(f"{JOBS}/{first}").status_code == 204

    assert client.get(f"{JOBS}/{second}/input").content == DATA
    assert submit_again(client, first).status_code == 410


def test_recording_that_was_never_fetched_is_fetched_by_the_second_job(
    client: TestClient, jobs: FakeJobRepository
) -> None:
    first = client.post(JOBS, json={"input": {"url": URL}, "preset": "clean-only"}).json()["id"]

    second = submit_again(client, first).json()["id"]

    recording = jobs.get(second).input
    assert (recording.url, recording.key) == (URL, f"jobs/{second}/input")
    assert not recording.is_stored


def test_recording_that_is_no_longer_kept_cannot_be_had(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
) -> None:
    first = submit_recording(client)
    finish(jobs, store, start(jobs, first), {}, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    response = submit_again(client, first)

    assert (response.status_code, response.json()["code"]) == (410, "expired")


def test_same_result_is_not_made_twice_where_the_client_says_so(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
) -> None:
    first = submit_recording(client)
    finish(jobs, store, start(jobs, first), {"a.wav": b"sound"})

    response = submit_again(client, first, dedupe=True)

    assert (response.status_code, response.json()["id"]) == (200, first)


def test_repeated_request_under_a_key_makes_one_job(client: TestClient, queue: FakeJobQueue) -> None:
    first, headers = submit_recording(client), {"Idempotency-Key": "again"}

    replies = [submit_again(client, first, headers=headers).json()["id"] for _ in range(2)]

    assert replies[0] == replies[1]
    assert len(queue.sent) == 2


@pytest.mark.parametrize("place", [{"job_id": "x"}, {"job_id": UNKNOWN_ID, "url": URL}])
def test_earlier_job_must_be_named_by_its_id_alone(client: TestClient, place: dict[str, str]) -> None:
    response = client.post(JOBS, json={"input": place, "preset": "clean-only"})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_options")


def test_reference_cannot_be_an_earlier_job(client: TestClient) -> None:
    first = submit_recording(client)

    assert submit_again(client, first, reference={"job_id": first}).status_code == 422

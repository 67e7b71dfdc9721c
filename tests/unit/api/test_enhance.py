"""The simple interface: one request, one enhanced file."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from core.jobs import Device, JobStatus, Lane
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import START, fail, finish, start
from tests.unit.api.recordings import wav
from tests.unit.api.test_submit import post

ENHANCE = "/api/enhance"


class EagerQueue(FakeJobQueue):
    """Has a worker that does the job within `send_job`."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Callable[[str], None] = lambda job_id: None

    def send_job(self, job_id: str, *, device: Device, lane: Lane) -> None:
        super().send_job(job_id, device=device, lane=lane)
        self.work(job_id)


@pytest.fixture
def queue() -> EagerQueue:
    return EagerQueue()


def test_answers_with_the_enhanced_file_and_its_figures(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore, queue: EagerQueue
) -> None:
    queue.work = lambda job_id: finish(jobs, store, start(jobs, job_id), {"talk.enhanced.wav": b"RIFF enhanced"})

    response = client.post(ENHANCE, files={"file": ("talk.wav", wav())}, data={"preset": "clean-only"})

    assert response.status_code == 200
    assert response.content == b"RIFF enhanced"
    assert response.headers["Content-Type"] == "audio/wav"
    assert response.headers["Content-Disposition"] == 'attachment; filename="talk.enhanced.wav"'
    assert float(response.headers["X-Processing-Time"]) == 3.0
    assert float(response.headers["X-Duration"]) == 6.0
    assert float(response.headers["X-RTF"]) == 0.5


def test_result_is_sent_by_the_api_even_where_the_store_has_urls(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore, queue: EagerQueue
) -> None:
    store.presign_base = "https://objects.example"
    queue.work = lambda job_id: finish(jobs, store, start(jobs, job_id), {"a.wav": b"RIFF"})

    response = client.post(ENHANCE, files={"file": wav()}, data={"preset": "clean-only"}, follow_redirects=False)

    assert response.status_code == 200
    assert response.content == b"RIFF"


@pytest.mark.parametrize(("code", "status"), [("invalid_audio", 422), ("worker_lost", 500), ("storage_error", 503)])
def test_failed_job_is_the_problem_of_the_request(
    client: TestClient, jobs: FakeJobRepository, queue: EagerQueue, code: str, status: int
) -> None:
    queue.work = lambda job_id: fail(jobs, start(jobs, job_id), code=code)

    response = client.post(ENHANCE, files={"file": wav()}, data={"preset": "clean-only"})

    assert response.status_code == status
    assert response.json()["code"] == code
    assert response.json()["detail"] == "Sample 12 is not a number."


def test_job_that_outlasts_the_wait_is_told_where_to_find(client: TestClient, jobs: FakeJobRepository) -> None:
    response = client.post(ENHANCE, params={"timeout_s": 0.01}, files={"file": wav()}, data={"preset": "clean-only"})

    assert response.status_code == 202
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "still_running"
    assert client.get(response.headers["Location"]).json()["status"] == "queued"


def test_cancelled_job_conflicts(client: TestClient, jobs: FakeJobRepository, queue: EagerQueue) -> None:
    def cancel(job_id: str) -> None:
        jobs.request_cancel(job_id, now=START)

    queue.work = cancel

    response = client.post(ENHANCE, files={"file": wav()}, data={"preset": "clean-only"})

    assert response.status_code == 409


def test_bad_file_is_refused_at_once(client: TestClient, jobs: FakeJobRepository) -> None:
    response = client.post(ENHANCE, files={"file": b"not audio"}, data={"preset": "clean-only"})

    assert response.status_code == 415
    assert jobs.list(status=JobStatus.QUEUED).jobs == []


def test_client_that_goes_away_cancels_the_job(app: FastAPI, jobs: FakeJobRepository) -> None:
    status, _ = post(app, path=ENHANCE, chunks=[wav()], headers={"content-type": "audio/wav"})

    (job,) = jobs.list().jobs
    assert status == 202
    assert job.status is JobStatus.CANCELLED

"""Deleting jobs, and files that are no longer kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi.testclient import TestClient

from core.ids import new_id
from core.retention import expire_jobs
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import add_queued, add_succeeded, start


def test_deleted_job_is_gone_with_its_files(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
) -> None:
    job = add_succeeded(jobs, store, {"a.wav": b"sound"})

    response = client.delete(f"/api/v1/jobs/{job.id}")

    assert (response.status_code, response.content) == (204, b"")
    assert store.objects == {}
    for path in (f"/api/v1/jobs/{job.id}", f"/api/v1/jobs/{job.id}/outputs/a.wav"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (410, "gone")
    assert client.post(f"/api/v1/jobs/{job.id}/cancel").status_code == 410
    assert client.delete(f"/api/v1/jobs/{job.id}").status_code == 410
    assert client.get("/api/v1/jobs").json()["jobs"] == []


def test_queued_job_is_deleted_at_once(client: TestClient, jobs: FakeJobRepository) -> None:
    job = add_queued(jobs)

    assert client.delete(f"/api/v1/jobs/{job.id}").status_code == 204
    assert client.get(f"/api/v1/jobs/{job.id}").status_code == 410


def test_running_job_must_be_cancelled_first(client: TestClient, jobs: FakeJobRepository) -> None:
    job = start(jobs, add_queued(jobs).id)

    response = client.delete(f"/api/v1/jobs/{job.id}")

    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert "Cancel it first" in response.json()["detail"]
    assert client.get(f"/api/v1/jobs/{job.id}").status_code == 200


def test_unknown_job_cannot_be_deleted(client: TestClient) -> None:
    assert client.delete(f"/api/v1/jobs/{new_id()}").status_code == 404


def test_expired_output_says_so_and_the_job_stays_readable(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
) -> None:
    job = add_succeeded(jobs, store, {"a.wav": b"sound"})
    assert job.expires_at is not None
    assert client.get(f"/api/v1/jobs/{job.id}/outputs/a.wav").status_code == 200

    expire_jobs(jobs, store, now=job.expires_at + timedelta(seconds=1))

    response = client.get(f"/api/v1/jobs/{job.id}/outputs/a.wav")
    assert (response.status_code, response.json()["code"]) == (410, "expired")
    assert client.get(f"/api/v1/jobs/{job.id}").json()["status"] == "succeeded"


def test_output_past_its_time_is_refused_before_it_is_removed(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
) -> None:
    job = add_succeeded(jobs, store, {"a.wav": b"sound"}, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    response = client.get(f"/api/v1/jobs/{job.id}/outputs/a.wav")

    assert (response.status_code, response.json()["code"]) == (410, "expired")
    assert store.objects

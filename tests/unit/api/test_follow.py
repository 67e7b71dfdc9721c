"""Following jobs: the document, ETag and long poll, the list, cancelling."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api import polling
from core.estimation.queue_load import QueueLoad
from core.ids import new_id
from core.jobs import JobStatus, Lane
from tests.estimation_fakes import FakeQueueLoads
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.fixed_ids import UNKNOWN_ID
from tests.unit.api.jobs_on_record import add_queued, add_succeeded, advance, fail, start

JOBS = "/api/v1/jobs"


def test_running_job_tells_stage_and_progress(client: TestClient, jobs: FakeJobRepository) -> None:
    job = start(jobs, add_queued(jobs).id)
    advance(jobs, job, fraction=0.25)

    response = client.get(f"{JOBS}/{job.id}")

    told = response.json()
    assert response.status_code == 200
    assert (told["status"], told["stage"], told["attempt"]) == ("running", "enhance", 1)
    assert told["progress"] == {"fraction": 0.25, "processed_s": 0.25, "duration_s": 1.0, "eta_s": 0.75, "rtf": 0.5}
    assert told["started_at"] == "2026-11-20T10:00:01Z"
    assert told["links"]["cancel"] == f"{JOBS}/{job.id}/cancel"
    assert "Retry-After" in response.headers


def test_succeeded_job_links_its_outputs(client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
    job = add_succeeded(jobs, store, {"tälk 50%?.wav": b"RIFF"})

    response = client.get(f"{JOBS}/{job.id}")

    told = response.json()
    (output,) = told["outputs"]
    assert output["name"] == "tälk 50%?.wav"
    assert client.get(output["href"]).content == b"RIFF"
    assert told["report"] == {"rtf": 0.5}
    assert told["links"]["cancel"] is None
    assert told["expires_at"] == "2126-10-27T10:00:00Z"
    assert "Retry-After" not in response.headers


def test_failed_job_tells_why_as_a_problem(client: TestClient, jobs: FakeJobRepository) -> None:
    job = start(jobs, add_queued(jobs).id)
    fail(jobs, job, code="invalid_audio")

    told = client.get(f"{JOBS}/{job.id}").json()

    assert told["status"] == "failed"
    assert told["error"] == {
        "type": "urn:limpid:problem:invalid_audio",
        "title": "The audio cannot be used",
        "code": "invalid_audio",
        "detail": "Sample 12 is not a number.",
    }


def test_document_never_shows_keys_or_the_lease(client: TestClient, jobs: FakeJobRepository) -> None:
    job = start(jobs, add_queued(jobs).id)

    text = client.get(f"{JOBS}/{job.id}").text

    assert job.lease_token is not None
    assert job.lease_token not in text
    assert job.input.key not in text


def test_queue_position_counts_the_jobs_ahead_in_the_same_lane(client: TestClient, jobs: FakeJobRepository) -> None:
    waiting = [add_queued(jobs), add_queued(jobs), add_queued(jobs, lane=Lane.BULK), add_queued(jobs)]

    positions = [client.get(f"{JOBS}/{job.id}").json()["queue_position"] for job in waiting]

    assert positions == [0, 1, 0, 2]


@pytest.mark.parametrize("job_id", [UNKNOWN_ID, "nope", "../../etc/passwd", "%00", "0" * 500, "1' OR '1'='1"])
def test_unknown_job_is_not_found(client: TestClient, job_id: str) -> None:
    response = client.get(f"{JOBS}/{job_id}")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


class TestEtag:
    def test_unchanged_job_is_not_sent_again(self, client: TestClient, jobs: FakeJobRepository) -> None:
        job = add_queued(jobs)
        etag = client.get(f"{JOBS}/{job.id}").headers["ETag"]

        response = client.get(f"{JOBS}/{job.id}", headers={"If-None-Match": f'"other", W/{etag}'})

        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["ETag"] == etag

    def test_changed_job_has_another_tag(self, client: TestClient, jobs: FakeJobRepository) -> None:
        job = add_queued(jobs)
        etag = client.get(f"{JOBS}/{job.id}").headers["ETag"]
        start(jobs, job.id)

        response = client.get(f"{JOBS}/{job.id}", headers={"If-None-Match": etag})

        assert response.status_code == 200
        assert response.headers["ETag"] != etag


class _CountingJobs(FakeJobRepository):
    """Lets `event` happen just before the read of number `at_read`."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.at_read = 0
        self.event: Any = None

    def get(self, job_id: str) -> Any:  # noqa: ANN401
        self.reads += 1
        if self.reads == self.at_read:
            self.event()
        return super().get(job_id)


class TestLongPoll:
    @pytest.fixture
    def jobs(self) -> _CountingJobs:
        return _CountingJobs()

    @pytest.fixture(autouse=True)
    def _poll_quickly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(polling, "POLL_INTERVAL_S", 0.001)

    def test_answers_as_soon_as_the_job_ends(self, client: TestClient, jobs: _CountingJobs) -> None:
        job = start(jobs, add_queued(jobs).id)
        jobs.at_read, jobs.event = 3, lambda: fail(jobs, job, code="invalid_audio")

        told = client.get(f"{JOBS}/{job.id}", params={"wait": 60}).json()

        assert told["status"] == "failed"
        assert jobs.reads == 3

    def test_answers_as_soon_as_anything_changes_from_the_known_tag(
        self, client: TestClient, jobs: _CountingJobs
    ) -> None:
        job = start(jobs, add_queued(jobs).id)
        etag = client.get(f"{JOBS}/{job.id}").headers["ETag"]
        jobs.at_read, jobs.event = 4, lambda: advance(jobs, job, fraction=0.5)

        response = client.get(f"{JOBS}/{job.id}", params={"wait": 60}, headers={"If-None-Match": etag})

        assert response.json()["progress"]["fraction"] == 0.5
        assert jobs.reads == 4

    def test_gives_up_when_the_time_is_over(self, client: TestClient, jobs: _CountingJobs) -> None:
        job = start(jobs, add_queued(jobs).id)

        response = client.get(f"{JOBS}/{job.id}", params={"wait": 0.2})

        assert response.json()["status"] == "running"
        assert jobs.reads > 2

    def test_ended_job_is_answered_at_once(
        self, client: TestClient, jobs: _CountingJobs, store: FakeObjectStore
    ) -> None:
        job = add_succeeded(jobs, store, {"a.wav": b"x"})
        jobs.reads = 0

        client.get(f"{JOBS}/{job.id}", params={"wait": 60})

        assert jobs.reads == 1

    def test_server_that_is_to_stop_does_not_hold_the_answer(
        self, app: FastAPI, client: TestClient, jobs: _CountingJobs
    ) -> None:
        app.state.is_stopping = True

        response = client.get(f"{JOBS}/{add_queued(jobs).id}", params={"wait": 60})

        assert response.json()["status"] == "queued"
        assert jobs.reads == 1

    @pytest.mark.parametrize("wait", ["-1", "61", "nan", "soon"])
    def test_wait_out_of_range_is_refused(self, client: TestClient, jobs: _CountingJobs, wait: str) -> None:
        response = client.get(f"{JOBS}/{add_queued(jobs).id}", params={"wait": wait})

        assert response.status_code == 422
        assert response.json()["errors"][0]["location"] == "query.wait"


class TestList:
    def test_newest_jobs_come_first_page_by_page(self, client: TestClient, jobs: FakeJobRepository) -> None:
        ids = [add_queued(jobs).id for _ in range(5)]

        first = client.get(JOBS, params={"limit": 3}).json()
        second = client.get(JOBS, params={"limit": 3, "cursor": first["next_cursor"]}).json()

        assert [job["id"] for job in first["jobs"] + second["jobs"]] == ids[::-1]
        assert second["next_cursor"] is None

    def test_list_can_be_of_one_status(self, client: TestClient, jobs: FakeJobRepository) -> None:
        add_queued(jobs)
        running = start(jobs, add_queued(jobs).id)

        told = client.get(JOBS, params={"status": "running"}).json()

        assert [job["id"] for job in told["jobs"]] == [running.id]

    def test_empty_list(self, client: TestClient) -> None:
        assert client.get(JOBS).json() == {"jobs": [], "next_cursor": None}

    @pytest.mark.parametrize(
        "query",
        [{"status": "done"}, {"limit": "0"}, {"limit": "201"}, {"limit": "x"}, {"cursor": "a b"}, {"cursor": "\0"}],
    )
    def test_bad_query_is_refused(self, client: TestClient, query: dict[str, str]) -> None:
        response = client.get(JOBS, params=query)

        assert response.status_code == 422
        assert response.json()["code"] == "invalid_request"
        assert response.json()["errors"][0]["location"] == f"query.{next(iter(query))}"


class TestCancel:
    def test_queued_job_is_cancelled_at_once(self, client: TestClient, jobs: FakeJobRepository) -> None:
        job = add_queued(jobs)

        response = client.post(f"{JOBS}/{job.id}/cancel")

        assert response.status_code == 200
        assert response.json()["status"] == "cancelled"
        assert jobs.get(job.id).status is JobStatus.CANCELLED

    def test_running_job_is_cancelling_however_often_it_is_asked(
        self, client: TestClient, jobs: FakeJobRepository
    ) -> None:
        job = start(jobs, add_queued(jobs).id)

        told = [client.post(f"{JOBS}/{job.id}/cancel").json()["status"] for _ in range(2)]

        assert told == ["cancelling", "cancelling"]

    def test_job_that_has_ended_cannot_be_cancelled(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        job = add_succeeded(jobs, store, {"a.wav": b"x"})

        response = client.post(f"{JOBS}/{job.id}/cancel")

        assert response.status_code == 409
        assert response.json()["code"] == "conflict"

    def test_unknown_job_cannot_be_cancelled(self, client: TestClient) -> None:
        assert client.post(f"{JOBS}/{new_id()}/cancel").status_code == 404


def test_a_queued_job_tells_when_it_will_be_done(
    client: TestClient, jobs: FakeJobRepository, loads: FakeQueueLoads
) -> None:
    job = add_queued(jobs)
    loads.answer = QueueLoad(workers={Lane.INTERACTIVE: 1}, running=1, running_left_s=30.0)

    progress = client.get(f"/api/v1/jobs/{job.id}").json()["progress"]

    assert progress["eta_s"] == 30.0  # and a second of audio, which takes next to nothing
    assert client.get("/api/v1/jobs").json()["jobs"][0]["progress"]["eta_s"] is None


def test_a_running_job_tells_its_own_speed(client: TestClient, jobs: FakeJobRepository, loads: FakeQueueLoads) -> None:
    job = start(jobs, add_queued(jobs).id)
    advance(jobs, job, fraction=0.25)
    loads.answer = QueueLoad(workers={Lane.INTERACTIVE: 1}, running=1, running_left_s=30.0)

    assert client.get(f"/api/v1/jobs/{job.id}").json()["progress"]["eta_s"] == 0.75
    assert loads.asked == 0

"""Idempotency-Key over HTTP, and results that need not be made again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.idempotency import IdempotencyRecord
from tests.access_fakes import FakeIdempotencyRepository
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import finish, start
from tests.unit.api.recordings import wav

JOBS = "/api/v1/jobs"


def send(client: TestClient, key: str | None = "k", data: bytes | None = None, **params: str) -> Any:  # noqa: ANN401
    """Submit a raw body."""
    headers = {"Content-Type": "audio/wav"} | ({} if key is None else {"Idempotency-Key": key})
    return client.post(
        JOBS, content=wav() if data is None else data, headers=headers, params={"preset": "clean-only", **params}
    )


class TestIdempotencyKey:
    def test_repeated_request_gets_the_first_reply_and_makes_no_job(
        self, client: TestClient, jobs: FakeJobRepository, queue: FakeJobQueue, store: FakeObjectStore
    ) -> None:
        first = send(client)
        start(jobs, first.json()["id"])  # the job goes on; the reply stays

        second = send(client)

        assert (first.status_code, second.status_code) == (202, 202)
        assert second.content == first.content
        assert second.headers["Location"] == first.headers["Location"]
        assert second.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert len(jobs.list().jobs) == len(queue.sent) == len(store.objects) == 1

    def test_same_form_is_the_same_request(self, client: TestClient, jobs: FakeJobRepository) -> None:
        def post(options: str) -> Any:  # noqa: ANN401
            form = {"preset": "clean-only", "options": options}
            files = {"file": ("a.wav", wav(), "audio/wav")}
            return client.post(JOBS, data=form, files=files, headers={"Idempotency-Key": '"q"'})

        first, second = post('{"lane": "bulk", "metadata": {"a": 1}}'), post('{"metadata":{"a":1},"lane":"bulk"}')

        assert second.json() == first.json()
        assert len(jobs.list().jobs) == 1

    @pytest.mark.parametrize("changes", [{"data": wav(0.6)}, {"name": "other.wav"}, {"options": '{"lane": "bulk"}'}])
    def test_other_request_under_the_key_is_refused(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore, changes: dict[str, Any]
    ) -> None:
        send(client, name="talk.wav")

        response = send(client, **{"name": "talk.wav", **changes})

        assert (response.status_code, response.json()["code"]) == (422, "idempotency_mismatch")
        assert len(jobs.list().jobs) == len(store.objects) == 1

    def test_key_in_use_is_refused_before_the_body_is_read(
        self, client: TestClient, idempotency: FakeIdempotencyRepository, store: FakeObjectStore
    ) -> None:
        idempotency.begin("", "k", now=datetime.now(UTC))

        response = send(client)

        assert (response.status_code, response.json()["code"]) == (409, "idempotency_in_flight")
        assert response.headers["Retry-After"]
        assert store.objects == {}

    def test_refused_request_can_be_mended_and_sent_again(self, client: TestClient, jobs: FakeJobRepository) -> None:
        assert send(client, data=b"no audio").status_code == 415

        response = send(client)

        assert response.status_code == 202
        assert "Idempotency-Replayed" not in response.headers
        assert len(jobs.list().jobs) == 1

    def test_reply_that_could_not_be_kept_is_made_up_for(
        self,
        client: TestClient,
        jobs: FakeJobRepository,
        idempotency: FakeIdempotencyRepository,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(record: IdempotencyRecord) -> None:
            raise RuntimeError("the process dies here")

        with monkeypatch.context() as patch:
            patch.setattr(idempotency, "complete", fail)
            assert send(client).status_code == 500
        (job,) = jobs.list().jobs

        second, third = send(client), send(client)

        assert (second.status_code, second.json()["id"]) == (202, job.id)
        assert second.headers["Idempotency-Replayed"] == "true"
        assert third.content == second.content
        assert len(jobs.list().jobs) == 1

    @pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256])
    def test_malformed_key_is_refused(self, client: TestClient, key: str) -> None:
        assert send(client, key).status_code == 400

    def test_without_a_key_every_request_is_new(self, client: TestClient, jobs: FakeJobRepository) -> None:
        send(client, None)
        send(client, None)

        assert len(jobs.list().jobs) == 2


class TestDedupe:
    OPTIONS = '{"dedupe": true}'

    def test_result_of_the_same_bytes_and_options_is_given_again(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore, queue: FakeJobQueue
    ) -> None:
        job_id = self._finished(client, jobs, store)

        response = send(client, None, options=self.OPTIONS)

        assert (response.status_code, response.json()["id"]) == (200, job_id)
        assert response.headers["Location"] == f"{JOBS}/{job_id}"
        assert len(queue.sent) == 1
        assert f"jobs/{job_id}/input" in store.objects
        assert len([key for key in store.objects if key.endswith("/input")]) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"options": "{}"},
            {"data": wav(0.6)},
            {"options": '{"dedupe": true, "overrides": {"strength": 0.5}}'},
            {"options": '{"dedupe": true, "outputs": [{"format": "flac"}]}'},
        ],
    )
    def test_anything_else_is_a_new_job(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore, changes: dict[str, Any]
    ) -> None:
        job_id = self._finished(client, jobs, store)

        response = send(client, None, **{"options": self.OPTIONS, **changes})

        assert response.status_code == 202
        assert response.json()["id"] != job_id

    def test_unfinished_or_deleted_job_is_no_result(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        client.delete(f"{JOBS}/{self._finished(client, jobs, store)}")

        assert send(client, None, options=self.OPTIONS).status_code == 202
        assert send(client, None, options=self.OPTIONS).status_code == 202  # the one before waits

    def _finished(self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore) -> str:
        job_id = str(send(client, None).json()["id"])
        finish(jobs, store, start(jobs, job_id), {"a.wav": b"sound"})
        return job_id

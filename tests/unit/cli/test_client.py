"""The Python client against the real application on fakes, without a network."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from limpid_client.client import LimpidClient
from limpid_client.connection import ATTEMPTS
from limpid_client.errors import ApiError
from limpid_client.records import RemoteJob, RemoteOutput
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import fail, start
from tests.unit.cli.conftest import RESULT, EagerQueue

URLS = ["https://example.com/1.ogg", "https://example.com/2.ogg"]


@pytest.fixture
def client(transport: httpx.MockTransport) -> Iterator[LimpidClient]:
    with LimpidClient(transport=transport, sleep=lambda seconds: None) as client:
        yield client


class TestJobs:
    def test_upload_is_reported_byte_by_byte(self, client: LimpidClient, talk: Path) -> None:
        sent: list[int] = []

        job = client.submit(talk, preset="clean-only", options={"overrides": {"strength": 0.5}}, on_sent=sent.append)

        assert sum(sent) == talk.stat().st_size
        assert job.document["input"]["name"] == "talk.wav"
        assert job.document["options"]["strength"] == 0.5

    def test_unchanged_job_is_the_known_one(self, client: LimpidClient, talk: Path, queue: EagerQueue) -> None:
        queue.work = lambda job_id: None
        first = client.get(client.submit(talk, preset="clean-only").id)

        assert client.get(first.id, known=first) is first

    def test_cancel(self, client: LimpidClient, talk: Path, queue: EagerQueue) -> None:
        queue.work = lambda job_id: None
        job = client.submit(talk, preset="clean-only")

        assert client.cancel(job.id).status == "cancelled"
        with pytest.raises(ApiError) as caught:
            client.cancel(job.id)
        assert (caught.value.status, caught.value.code) == (409, "conflict")

    def test_damaged_download_leaves_no_file(
        self, client: LimpidClient, talk: Path, store: FakeObjectStore, tmp_path: Path
    ) -> None:
        job = client.get(client.submit(talk, preset="clean-only").id)
        (key,) = [key for key, data in store.objects.items() if data == RESULT]
        store.put(key, RESULT[::-1])

        with pytest.raises(ApiError, match="SHA-256"):
            client.download(job.outputs[0], tmp_path)

        assert not list(tmp_path.glob("*.wav"))
        assert not list(tmp_path.glob(".*"))

    def test_server_cannot_write_outside_the_folder(self, client: LimpidClient, talk: Path, tmp_path: Path) -> None:
        job = client.get(client.submit(talk, preset="clean-only").id)
        (output,) = job.outputs
        evil = RemoteOutput(
            name="../../evil.wav", role=output.role, bytes=output.bytes, sha256=output.sha256, href=output.href
        )

        assert client.download(evil, tmp_path) == tmp_path / "evil.wav"

    def test_a_url_is_fetched_by_the_server(
        self, client: LimpidClient, queue: EagerQueue, jobs: FakeJobRepository
    ) -> None:
        queue.work = lambda job_id: None

        job = client.submit_url(URLS[0], preset="clean-only", options={"metadata": {"episode": 7}})

        made = jobs.get(job.id)
        assert (made.input.url, made.preset, made.metadata) == (URLS[0], "clean-only", {"episode": 7})

    def test_waiting_ends_with_the_job_and_tells_its_course(self, client: LimpidClient, talk: Path) -> None:
        seen: list[RemoteJob] = []

        ended = client.wait(client.submit(talk, preset="clean-only"), timeout_s=5.0, on_change=seen.append)

        assert ended.has_succeeded
        assert seen == [ended]

    def test_waiting_ends_with_its_time(self, client: LimpidClient, talk: Path, queue: EagerQueue) -> None:
        queue.work = lambda job_id: None
        job = client.submit(talk, preset="clean-only")

        with pytest.raises(TimeoutError, match=f"{job.id} is queued"):
            client.wait(job, timeout_s=0.0)

    def test_the_list_goes_on_from_page_to_page(
        self, client: LimpidClient, talk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = [client.submit(talk, preset="clean-only").id for _ in range(3)]
        monkeypatch.setattr("limpid_client.client.PAGE", 2)

        assert [job.id for job in client.list()] == [*reversed(made)]
        assert [job.id for job in client.list(status="failed")] == []

    def test_a_deleted_job_is_gone(self, client: LimpidClient, talk: Path) -> None:
        job = client.submit(talk, preset="clean-only")

        client.delete(job.id)

        with pytest.raises(ApiError) as caught:
            client.get(job.id)
        assert (caught.value.status, caught.value.code) == (410, "gone")

    def test_presets_say_what_can_be_asked_for(self, client: LimpidClient) -> None:
        assert "clean-only" in [preset["name"] for preset in client.presets()]


class TestBatches:
    def test_urls_become_one_batch(self, client: LimpidClient, queue: EagerQueue, jobs: FakeJobRepository) -> None:
        queue.work = lambda job_id: fail(jobs, start(jobs, job_id), code="fetch_failed")

        batch = client.batches.submit_urls(URLS, preset="clean-only", idempotency_key="talks")
        ended = client.batches.wait(batch, timeout_s=5.0)

        assert [item.name for item in ended.items] == ["1.ogg", "2.ogg"]
        assert (ended.status, ended.has_ended, ended.has_succeeded) == ("failed", True, False)
        assert ended.items[0].error_detail == "Sample 12 is not a number."
        assert client.batches.submit_urls(URLS, preset="clean-only", idempotency_key="talks").id == batch.id

    def test_a_batch_is_cancelled_and_fetched(self, client: LimpidClient, queue: EagerQueue, tmp_path: Path) -> None:
        queue.work = lambda job_id: None
        batch = client.batches.submit_urls(URLS, preset="clean-only")

        cancelled = client.batches.cancel(batch.id)
        path = client.batches.download(cancelled, tmp_path / "talks.zip")

        assert cancelled.status == "cancelled"
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist() == ["manifest.json"]

    def test_a_prefix_that_is_not_allowed_is_told(self, client: LimpidClient) -> None:
        with pytest.raises(ApiError) as caught:
            client.batches.submit_source("s3://archive/talks/", patterns=["*.wav"])

        assert caught.value.code == "forbidden_url"


class TestFaults:
    def scripted(self, *answers: httpx.Response | Exception) -> tuple[LimpidClient, list[httpx.Request], list[float]]:
        requests: list[httpx.Request] = []
        pauses: list[float] = []
        pending = list(answers)

        def handle(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            answer = pending.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return LimpidClient(transport=httpx.MockTransport(handle), sleep=pauses.append), requests, pauses

    def test_reading_is_tried_again_with_growing_pauses(self) -> None:
        client, requests, pauses = self.scripted(
            httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(404, json={"detail": "x", "code": "y"})
        )

        with pytest.raises(ApiError) as caught:
            client.get("1")

        assert caught.value.status == 404
        assert len(requests) == 3
        assert pauses == [0.5, 1.0]

    def test_reading_is_given_up_after_some_attempts(self) -> None:
        client, requests, _ = self.scripted(*[httpx.ConnectError("refused")] * ATTEMPTS)

        with pytest.raises(ApiError, match="does not answer"):
            client.get("1")

        assert len(requests) == ATTEMPTS

    def test_submitting_is_never_repeated(self, talk: Path) -> None:
        client, requests, _ = self.scripted(httpx.ReadError("reset"))

        with pytest.raises(ApiError, match="does not answer"):
            client.submit(talk)

        assert len(requests) == 1

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"id": "1"}', b"null"])
    def test_server_of_another_kind_is_told(self, body: bytes) -> None:
        client, _, _ = self.scripted(httpx.Response(200, content=body))

        with pytest.raises(ApiError, match="Limpid"):
            client.get("1")

    def test_error_without_a_problem_is_told_by_its_status(self) -> None:
        client, _, _ = self.scripted(httpx.Response(500, content=b"<html>"))

        with pytest.raises(ApiError, match="500"):
            client.get("1")

    def test_url_that_is_none_is_told(self) -> None:
        with pytest.raises(ApiError, match="URL"):
            LimpidClient("http://host:port")

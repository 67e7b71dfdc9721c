"""`limpid submit` and its client, against the real application on fakes, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import cli.submit
from cli.client import ATTEMPTS, ApiError, LimpidClient, RemoteOutput
from cli.main import app
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import fail, start
from tests.unit.cli.conftest import RESULT, EagerQueue, write_recording


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, transport: httpx.MockTransport) -> Callable[..., Any]:
    """Run `limpid submit` with these arguments."""
    monkeypatch.setattr(
        cli.submit, "LimpidClient", lambda url, api_key: LimpidClient(url, api_key=api_key, transport=transport)
    )

    def run(*arguments: str | Path) -> Any:  # noqa: ANN401 - typer's Result is not exported
        return CliRunner().invoke(app, ["submit", *map(str, arguments)])

    return run


class TestCommand:
    def test_submit_prints_the_job_and_does_not_wait(
        self, run: Callable[..., Any], talk: Path, queue: EagerQueue
    ) -> None:
        queue.work = lambda job_id: None

        result = run(talk, "--preset", "clean-only")

        (sent,) = queue.sent
        assert result.exit_code == 0
        assert f"queued, job {sent[0]}" in result.stdout

    def test_results_are_fetched_into_a_folder(self, run: Callable[..., Any], talk: Path, tmp_path: Path) -> None:
        result = run(talk, "--preset", "clean-only", "-o", tmp_path / "out")

        assert result.exit_code == 0
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["talk.enhanced.wav"]
        assert (tmp_path / "out" / "talk.enhanced.wav").read_bytes() == RESULT

    def test_reference_goes_with_its_recording(
        self, run: Callable[..., Any], talk: Path, tmp_path: Path, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        clean = write_recording(tmp_path / "in" / "clean.wav")

        result = run(talk, "--preset", "clean-only", "--reference", clean, "--json")

        assert result.exit_code == 0, result.output
        job = jobs.get(json.loads(result.stdout)[0]["job"]["id"])
        assert (job.input.name, job.preset) == ("talk.wav", "clean-only")
        assert job.reference is not None
        assert job.reference.name == "clean.wav"
        assert store.objects[job.reference.key] == clean.read_bytes()

    def test_reference_of_several_recordings_is_refused(self, run: Callable[..., Any], talk: Path) -> None:
        result = run(talk, talk, "--reference", talk)

        assert result.exit_code == 1
        assert "--reference is of one recording" in result.stderr

    def test_inputs_of_one_name_do_not_overwrite_each_other(
        self, run: Callable[..., Any], talk: Path, tmp_path: Path
    ) -> None:
        other = write_recording(tmp_path / "other" / "talk.wav")

        result = run(talk, other, "--preset", "clean-only", "-o", tmp_path / "out")

        assert result.exit_code == 0
        assert len(list((tmp_path / "out").iterdir())) == 2

    def test_failed_job_fails_the_command_and_says_why(
        self, run: Callable[..., Any], talk: Path, queue: EagerQueue, jobs: FakeJobRepository
    ) -> None:
        queue.work = lambda job_id: fail(jobs, start(jobs, job_id), code="invalid_audio")

        result = run(talk, "--preset", "clean-only", "--wait")

        assert result.exit_code == 1
        assert "Sample 12 is not a number." in result.stderr

    def test_one_bad_file_does_not_stop_the_others(self, run: Callable[..., Any], talk: Path, tmp_path: Path) -> None:
        text = tmp_path / "notes.txt"
        text.write_text("no audio")

        result = run(text, tmp_path / "missing.wav", talk, "--preset", "clean-only", "-o", tmp_path / "out", "--json")

        documents = json.loads(result.stdout)
        assert result.exit_code == 1
        assert "not audio" in documents[0]["error"]
        assert documents[1]["error"] == "No such file or directory"
        assert documents[2]["error"] is None
        assert documents[2]["job"]["status"] == "succeeded"
        assert documents[2]["files"] == [str(tmp_path / "out" / "talk.enhanced.wav")]

    def test_refused_option_is_explained(self, run: Callable[..., Any], talk: Path) -> None:
        result = run(talk, "--preset", "loud")

        assert result.exit_code == 1
        assert "There is no preset 'loud'" in result.stderr

    def test_interrupt_leaves_the_job_and_says_its_id(
        self, run: Callable[..., Any], talk: Path, queue: EagerQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        queue.work = lambda job_id: None
        monkeypatch.setattr(LimpidClient, "get", interrupt)

        result = run(talk, "--preset", "clean-only", "--wait")

        assert result.exit_code == 130
        assert queue.sent[0][0] in result.stderr


class TestLimpidClient:
    @pytest.fixture
    def client(self, transport: httpx.MockTransport) -> Iterator[LimpidClient]:
        with LimpidClient(transport=transport) as client:
            yield client

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

"""`limpid submit` against the real application on fakes, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import cli.submit
from cli.main import app
from limpid_client.client import LimpidClient
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

    def test_a_url_is_left_to_the_server_to_fetch(
        self, run: Callable[..., Any], talk: Path, queue: EagerQueue, jobs: FakeJobRepository
    ) -> None:
        queue.work = lambda job_id: None

        result = run("https://example.com/talks/1.ogg", talk, "--preset", "clean-only", "--json")

        assert result.exit_code == 0, result.output
        remote, local = json.loads(result.stdout)
        assert remote["input"] == "https://example.com/talks/1.ogg"
        assert jobs.get(remote["job"]["id"]).input.url == "https://example.com/talks/1.ogg"
        assert jobs.get(local["job"]["id"]).input.url is None

    def test_a_url_has_no_reference(self, run: Callable[..., Any], talk: Path) -> None:
        result = run("https://example.com/talks/1.ogg", "--reference", talk)

        assert result.exit_code == 1
        assert "--reference goes with a file" in result.stderr

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

"""`limpid watch` against the real application on fakes, and what it makes of each answer of a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Timer
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import cli.watch
from cli.errors import CommandError
from cli.main import app
from cli.watch import ServerOverRest
from core.jobs import JobStatus, Lane, Progress
from limpid_client.client import LimpidClient
from tests.factories import NOON, make_output
from tests.fakes import FakeJobRepository
from tests.unit.api.jobs_on_record import FAR_FUTURE, fail, start
from tests.unit.cli.conftest import RESULT, EagerQueue, write_recording
from worker.ingest.service import JobLost, Refused, ServiceUnavailable


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, transport: httpx.MockTransport, tmp_path: Path) -> Callable[..., Any]:
    """Run `limpid watch --once` over the folders `in` and `out`, with these further arguments."""
    monkeypatch.setattr(cli.watch, "configure_logging", lambda level, log_format: None)
    monkeypatch.setattr(
        cli.watch,
        "LimpidClient",
        lambda url, api_key, sleep: LimpidClient(url, api_key=api_key, transport=transport, sleep=sleep),
    )
    (tmp_path / "in").mkdir()

    def run(*arguments: str | Path) -> Any:  # noqa: ANN401 - typer's Result is not exported
        folders = (tmp_path / "in", "--out", tmp_path / "out")
        return CliRunner().invoke(app, ["watch", *map(str, folders), "--stable-s", "0", "--once", *map(str, arguments)])

    return run


class TestCommand:
    def test_folder_is_enhanced_with_its_sub_folders(self, run: Callable[..., Any], tmp_path: Path) -> None:
        write_recording(tmp_path / "in" / "talk.wav")
        write_recording(tmp_path / "in" / "a" / "other.wav")

        result = run("--preset", "clean-only")

        assert (result.exit_code, result.stdout) == (0, "2 done, 0 failed\n"), result.output
        assert (tmp_path / "out" / "talk.enhanced.wav").read_bytes() == RESULT
        assert (tmp_path / "out" / "a" / "other.enhanced.wav").read_bytes() == RESULT
        assert (tmp_path / "in" / "done" / "a" / "other.wav").is_file()

    def test_jobs_wait_in_the_bulk_lane_with_the_options_of_the_file(
        self, run: Callable[..., Any], tmp_path: Path, jobs: FakeJobRepository
    ) -> None:
        write_recording(tmp_path / "in" / "talk.wav")
        options = tmp_path / "options.json"
        options.write_text(json.dumps({"preset": "speech", "overrides": {"strength": 0.5}}), encoding="utf-8")

        run("--preset", "clean-only", "--options", options)

        (job,) = jobs.list().jobs
        assert (job.lane, job.preset, job.options["strength"]) == (Lane.BULK, "clean-only", 0.5)

    def test_settings_come_from_the_environment_too(
        self, run: Callable[..., Any], tmp_path: Path, jobs: FakeJobRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_recording(tmp_path / "in" / "talk.wav")
        options = tmp_path / "options.json"
        options.write_text(json.dumps({"overrides": {"strength": 0.5}}), encoding="utf-8")
        monkeypatch.setenv("LIMPID_WATCH_PRESET", "clean-only")
        monkeypatch.setenv("LIMPID_WATCH_OPTIONS", str(options))

        run()

        (job,) = jobs.list().jobs
        assert (job.preset, job.options["strength"]) == ("clean-only", 0.5)

    def test_what_compose_makes_of_an_unset_variable_is_unset(
        self, run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_recording(tmp_path / "in" / "talk.wav")
        for name in ("PRESET", "OPTIONS", "POLL", "STABLE_S"):
            monkeypatch.setenv(f"LIMPID_WATCH_{name}", "")

        result = run()

        assert (result.exit_code, result.stdout) == (0, "1 done, 0 failed\n"), result.output

    def test_refused_file_fails_with_the_servers_reason(self, run: Callable[..., Any], tmp_path: Path) -> None:
        (tmp_path / "in" / "notes.txt").write_text("words", encoding="utf-8")

        result = run("--preset", "clean-only")

        assert (result.exit_code, result.stdout) == (1, "0 done, 1 failed\n")
        reason = json.loads((tmp_path / "in" / "failed" / "notes.txt.reason.json").read_text(encoding="utf-8"))
        assert reason["code"] == "unsupported_media"

    def test_failed_job_fails_its_recording_with_the_jobs_reason(
        self, run: Callable[..., Any], tmp_path: Path, queue: EagerQueue, jobs: FakeJobRepository
    ) -> None:
        write_recording(tmp_path / "in" / "talk.wav")
        queue.work = lambda job_id: fail(jobs, start(jobs, job_id), code="invalid_audio")

        run("--preset", "clean-only")

        reason = json.loads((tmp_path / "in" / "failed" / "talk.wav.reason.json").read_text(encoding="utf-8"))
        assert reason["code"] == "invalid_audio"

    def test_log_level_that_is_none_is_told(self, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LIMPID_LOG_LEVEL", "chatty")

        assert run().exit_code == 2

    def test_empty_folder_is_done_at_once(self, run: Callable[..., Any]) -> None:
        assert run().exit_code == 0

    def test_missing_folder_is_told(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["watch", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--once"])

        assert (result.exit_code, result.stderr) == (1, f"limpid: {tmp_path / 'none'} is no folder.\n")

    def test_results_into_the_watched_folder_are_refused(self, run: Callable[..., Any], tmp_path: Path) -> None:
        result = run("--out", tmp_path / "in")

        assert result.exit_code == 1
        assert "new recordings" in result.stderr

    def test_options_that_are_no_json_are_told(self, run: Callable[..., Any], tmp_path: Path) -> None:
        (tmp_path / "options.json").write_text("{", encoding="utf-8")

        result = run("--options", tmp_path / "options.json")

        assert result.exit_code == 1
        assert "options.json is not valid JSON" in result.stderr

    @pytest.mark.parametrize("poll", [True, False])
    def test_watching_goes_on_until_it_is_stopped(
        self, run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poll: bool
    ) -> None:
        monkeypatch.setattr(cli.watch, "BUSY_INTERVAL_S", 0.05)
        monkeypatch.setattr(cli.watch, "IDLE_INTERVAL_S", 0.05)
        stop = Event()
        results = [tmp_path / "out" / f"{name}.enhanced.wav" for name in ("early", "late")]

        @contextmanager
        def event() -> Iterator[Event]:
            yield stop

        def drop_late() -> None:
            write_recording(tmp_path / "new.wav").rename(tmp_path / "in" / "late.wav")

        monkeypatch.setattr(cli.watch, "stop_event", event)
        write_recording(tmp_path / "in" / "early.wav")
        late, guard = Timer(0.5, drop_late), Timer(30.0, stop.set)
        original = cli.watch.Ingester.step

        def step_then_look(ingester: Any) -> None:  # noqa: ANN401
            original(ingester)
            if all(path.exists() for path in results):
                stop.set()

        monkeypatch.setattr(cli.watch.Ingester, "step", step_then_look)
        late.start()
        guard.start()

        result = CliRunner().invoke(
            app,
            ["watch", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--stable-s", "0", "--preset", "clean-only"]
            + (["--poll"] if poll else []),
        )

        guard.cancel()
        late.join()
        assert result.exit_code == 0, result.output
        assert all(path.exists() for path in results)


class TestServerOverRest:
    def scripted(self, *answers: httpx.Response | Exception, stop: Event | None = None) -> ServerOverRest:
        pending = list(answers)

        def handle(request: httpx.Request) -> httpx.Response:
            request.read()
            answer = pending.pop(0) if len(pending) > 1 else pending[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        client = LimpidClient(transport=httpx.MockTransport(handle), sleep=lambda seconds: None)
        return ServerOverRest(client, stop=stop or Event())

    def submit(self, server: ServerOverRest, tmp_path: Path) -> str:
        (tmp_path / "talk.wav").write_bytes(b"sound")
        return server.submit(tmp_path / "talk.wav", options={"lane": "bulk"}, idempotency_key="k")

    @pytest.mark.parametrize("status", [400, 413, 415, 422])
    def test_refusal_is_final(self, tmp_path: Path, status: int) -> None:
        server = self.scripted(httpx.Response(status, json={"code": "some_code", "detail": "Some detail."}))

        with pytest.raises(Refused) as caught:
            self.submit(server, tmp_path)

        assert (caught.value.problem.code, caught.value.problem.detail) == ("some_code", "Some detail.")

    def test_missing_model_is_final(self, tmp_path: Path) -> None:
        server = self.scripted(httpx.Response(409, json={"code": "model_unavailable", "detail": "Not installed."}))

        with pytest.raises(Refused):
            self.submit(server, tmp_path)

    @pytest.mark.parametrize(
        "answer",
        [
            *(httpx.Response(status, json={"code": "c", "detail": "d"}) for status in (408, 409, 425, 429, 500, 503)),
            httpx.ConnectError("refused"),
            httpx.ReadTimeout("silent"),
            httpx.Response(202, content=b"<html>"),
        ],
        ids=str,
    )
    def test_what_may_go_better_later_is_tried_again(self, tmp_path: Path, answer: httpx.Response | Exception) -> None:
        with pytest.raises(ServiceUnavailable):
            self.submit(self.scripted(answer), tmp_path)

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_key_ends_the_watcher(self, tmp_path: Path, status: int) -> None:
        server = self.scripted(httpx.Response(status, json={"code": "c", "detail": "No such key."}))

        with pytest.raises(CommandError, match="No such key"):
            self.submit(server, tmp_path)

    @pytest.mark.parametrize("status", [404, 410])
    def test_job_that_is_gone_is_lost(self, tmp_path: Path, status: int) -> None:
        server = self.scripted(httpx.Response(status, json={"code": "gone", "detail": "d"}))

        with pytest.raises(JobLost):
            server.follow("1")
        with pytest.raises(JobLost):
            server.fetch("1", tmp_path)

    def test_upload_breaks_off_when_the_watcher_is_to_stop(self, tmp_path: Path) -> None:
        stop = Event()
        stop.set()

        with pytest.raises(ServiceUnavailable, match="stop"):
            self.submit(self.scripted(httpx.Response(202), stop=stop), tmp_path)

    def test_key_is_sent_along(self, transport: httpx.MockTransport, tmp_path: Path, jobs: FakeJobRepository) -> None:
        requests: list[httpx.Request] = []

        def handle(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            return transport.handle_request(request)

        client = LimpidClient(transport=httpx.MockTransport(handle))
        recording = write_recording(tmp_path / "talk.wav")

        job_id = ServerOverRest(client, stop=Event()).submit(
            recording, options={"preset": "clean-only"}, idempotency_key="key-1"
        )

        assert requests[0].headers["idempotency-key"] == "key-1"
        assert jobs.get(job_id).status is JobStatus.SUCCEEDED

    def test_pictures_stay_on_the_server(
        self, transport: httpx.MockTransport, tmp_path: Path, jobs: FakeJobRepository, queue: EagerQueue
    ) -> None:
        queue.work = lambda job_id: None
        server = ServerOverRest(LimpidClient(transport=transport), stop=Event())
        job_id = server.submit(
            write_recording(tmp_path / "talk.wav"), options={"preset": "clean-only"}, idempotency_key="k"
        )
        run = start(jobs, job_id)
        jobs.succeed(
            job_id,
            lease_token=run.lease_token or "",
            outputs=[make_output("talk.peaks.json", role="peaks", key="none")],
            report={},
            warnings=[],
            progress=Progress(fraction=1.0),
            now=NOON,
            expires_at=FAR_FUTURE,
        )

        assert server.fetch(job_id, tmp_path / "out") == []

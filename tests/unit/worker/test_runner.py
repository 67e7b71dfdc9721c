"""One job from claim to end, on fakes of the ports and a scripted pipeline."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from core.enhancement.progress import ProgressSink
from core.errors import InvalidAudio, StorageError
from core.jobs import Device, JobStatus, Progress, Stage
from tests.factories import make_job
from tests.unit.worker.bench import DONE, RECORDING, Bench, ScriptedPipeline
from worker import lease as lease_module
from worker.lease import utc_now
from worker.model_cache import ModelKey
from worker.runner import finite_json


def _raise(error: BaseException) -> Callable[[ProgressSink], None]:
    def script(on_progress: ProgressSink) -> None:
        raise error

    return script


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RETRY_DELAYS_S", (0.01, 0.01))


def test_a_job_succeeds_with_its_outputs_stored_and_its_scratch_removed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())

    ended = bench.run()

    assert ended.status is JobStatus.SUCCEEDED
    assert ended.attempt == 1
    assert ended.progress == DONE
    assert ended.warnings == ("quiet",)
    assert ended.report == {"rtf": 0.1, "loudness_lufs": None}
    [output] = ended.outputs
    assert output.key == f"jobs/{ended.id}/1/00"
    assert bench.store.objects[output.key] == RECORDING[::-1]
    assert bench.store.media_types[output.key] == "audio/wav"
    assert output.sha256 == hashlib.sha256(RECORDING[::-1]).hexdigest()
    assert ended.expires_at is not None
    assert ended.finished_at is not None
    assert (ended.expires_at - ended.finished_at).total_seconds() == bench.settings.retention_s
    assert bench.scratch_files == []


def test_the_pipeline_gets_the_recording_and_the_options(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())

    bench.run()

    [call] = bench.pipeline.calls
    assert call["source"] == RECORDING
    assert call["input_name"] == "talk.wav"
    assert call["options"].preset == "clean-only"
    assert call["enhancer"] is None


def test_the_same_message_twice_is_one_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())

    bench.run()
    bench.run()

    assert len(bench.pipeline.calls) == 1
    assert bench.runs.get(bench.job.id).attempt == 1


def test_an_unknown_job_is_ignored(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())

    bench.runner.run("0199aaaa-0000-7000-8000-000000000000")

    assert not bench.pipeline.calls


def test_a_fault_of_the_recording_fails_the_job_with_its_code(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline(_raise(InvalidAudio("It holds no samples."))))

    ended = bench.run()

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == "invalid_audio"
    assert ended.error.detail == "It holds no samples."
    assert bench.scratch_files == []


def test_an_unforeseen_error_fails_the_job_without_leaking_what_it_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, ScriptedPipeline(_raise(KeyError("/srv/secret/path"))))

    ended = bench.run()

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == "internal_error"
    assert "secret" not in ended.error.detail + ended.error.title
    assert "/srv/secret/path" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."),
    ],
)
def test_lack_of_memory_has_a_code_of_its_own(tmp_path: Path, error: Exception) -> None:
    ended = Bench(tmp_path, ScriptedPipeline(_raise(error))).run()

    assert ended.error is not None
    assert ended.error.code == "out_of_memory"


def test_a_full_disk_has_a_code_of_its_own(tmp_path: Path) -> None:
    ended = Bench(tmp_path, ScriptedPipeline(_raise(OSError(errno.ENOSPC, "No space left on device")))).run()

    assert ended.error is not None
    assert ended.error.code == "insufficient_disk"


def test_a_recording_larger_than_the_scratch_disk_is_not_fetched(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())
    job = make_job(options=bench.job.options)
    bench.replace_job(replace(job, input=replace(job.input, bytes=2**62)))

    ended = bench.run()

    assert ended.error is not None
    assert ended.error.code == "insufficient_disk"
    assert not bench.pipeline.calls


def test_options_of_another_version_fail_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())
    bench.replace_job(make_job(options={"preset": "speech", "from_the_future": True}))

    ended = bench.run()

    assert ended.error is not None
    assert ended.error.code == "invalid_options"


def test_a_missing_recording_fails_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())
    bench.store.delete_prefix(bench.job.input.key)

    ended = bench.run()

    assert ended.error is not None
    assert ended.error.code == "not_found"


def test_a_transient_fault_gives_the_job_back_for_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline(_raise(StorageError("The object store did not answer."))))

    waiting = bench.run()

    assert waiting.status is JobStatus.QUEUED
    assert waiting.attempt == 1
    assert waiting.uncounted_attempts == 0
    assert not bench.runs.sweep(now=utc_now()).to_send


def test_a_transient_fault_in_the_last_attempt_fails_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline(_raise(StorageError("The object store did not answer."))), max_attempts=2)

    assert bench.run().status is JobStatus.QUEUED
    ended = bench.run()

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == "storage_error"


def test_a_short_outage_of_the_store_costs_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())
    uploads: list[str] = []
    upload = bench.store.upload

    def flaky_upload(path: Path, key: str, *, media_type: str) -> None:
        uploads.append(key)
        if len(uploads) == 1:
            raise StorageError("The object store did not answer.")
        upload(path, key, media_type=media_type)

    bench.store.upload = flaky_upload  # type: ignore[method-assign]

    assert bench.run().status is JobStatus.SUCCEEDED
    assert len(bench.pipeline.calls) == 1
    assert len(uploads) == 2


def test_a_cancelled_run_stops_at_its_next_step_and_leaves_nothing(tmp_path: Path) -> None:
    steps: list[str] = []

    def cancel(on_progress: ProgressSink) -> None:
        bench.runs.request_cancel(bench.job.id, now=utc_now())
        on_progress(Stage.ENHANCE, Progress(fraction=0.5))
        steps.append("went on")

    bench = Bench(tmp_path, ScriptedPipeline(cancel), progress_interval_s=1e-6)

    ended = bench.run()

    assert ended.status is JobStatus.CANCELLED
    assert not steps
    assert bench.stored_keys == set()
    assert bench.scratch_files == []


def test_a_cancel_that_comes_with_the_end_wins_over_the_result(tmp_path: Path) -> None:
    def cancel(on_progress: ProgressSink) -> None:
        bench.runs.request_cancel(bench.job.id, now=utc_now())

    bench = Bench(tmp_path, ScriptedPipeline(cancel))

    ended = bench.run()

    assert ended.status is JobStatus.CANCELLED
    assert ended.outputs == ()
    assert bench.stored_keys == set()


def test_a_cancel_that_comes_with_a_failure_is_a_cancel(tmp_path: Path) -> None:
    def cancel_and_fail(on_progress: ProgressSink) -> None:
        bench.runs.request_cancel(bench.job.id, now=utc_now())
        raise InvalidAudio("It holds no samples.")

    bench = Bench(tmp_path, ScriptedPipeline(cancel_and_fail))

    assert bench.run().status is JobStatus.CANCELLED


def test_a_shutdown_gives_the_job_back_without_counting_the_attempt(tmp_path: Path) -> None:
    def shut_down(on_progress: ProgressSink) -> None:
        bench.is_shutting_down = True
        on_progress(Stage.ENHANCE, Progress(fraction=0.5))

    bench = Bench(tmp_path, ScriptedPipeline(shut_down))

    waiting = bench.run()

    assert waiting.status is JobStatus.QUEUED
    assert waiting.attempt == 1
    assert waiting.uncounted_attempts == 1
    assert [job.id for job in bench.runs.sweep(now=utc_now()).to_send] == [bench.job.id]
    assert bench.scratch_files == []


def test_a_run_whose_lease_was_taken_stops_and_touches_nothing(tmp_path: Path) -> None:
    steps: list[str] = []

    def lose(on_progress: ProgressSink) -> None:
        bench.runs.sweep(now=utc_now().replace(year=2100))
        bench.runs.mark_sent(bench.job.id, now=utc_now())
        bench.runs.claim(bench.job.id, worker="other", lease_s=60, now=utc_now())
        on_progress(Stage.ENHANCE, Progress(fraction=0.5))
        steps.append("went on")

    bench = Bench(tmp_path, ScriptedPipeline(lose), progress_interval_s=1e-6)
    theirs = f"jobs/{bench.job.id}/2/00"
    bench.store.put(theirs, b"theirs")

    running = bench.run()

    assert running.status is JobStatus.RUNNING
    assert running.attempt == 2
    assert not steps
    assert bench.store.objects[theirs] == b"theirs"
    assert bench.scratch_files == []


def test_success_removes_what_dead_attempts_had_stored(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ScriptedPipeline())
    bench.runs.claim(bench.job.id, worker="dead", lease_s=1, now=bench.job.created_at)
    bench.store.put(f"jobs/{bench.job.id}/1/00", b"half")

    ended = bench.run()

    assert ended.attempt == 2
    assert bench.stored_keys == {f"jobs/{bench.job.id}/2/00"}


def test_the_lease_is_kept_alive_while_the_pipeline_is_silent(tmp_path: Path) -> None:
    beats = threading.Event()
    extended: list[Any] = []

    def wait_for_heartbeats(on_progress: ProgressSink) -> None:
        assert beats.wait(10)

    bench = Bench(tmp_path, ScriptedPipeline(wait_for_heartbeats), lease_s=0.2)
    extend = bench.runs.extend_lease

    def counted(*args: Any, **kwargs: Any) -> JobStatus:  # noqa: ANN401
        status = extend(*args, **kwargs)
        extended.append(kwargs["now"])
        if len(extended) == 5:
            beats.set()
        return status

    bench.runs.extend_lease = counted  # type: ignore[method-assign]

    ended = bench.run()

    assert ended.status is JobStatus.SUCCEEDED
    assert ended.attempt == 1


def test_numbers_that_json_does_not_have_become_null() -> None:
    report = {"a": [1.5, float("nan"), {"b": float("inf")}], "c": ("x", 2, True, None)}

    assert finite_json(report) == {"a": [1.5, None, {"b": None}], "c": ["x", 2, True, None]}


def test_job_that_does_not_fit_the_gpu_runs_on_the_cpu_by_an_engine_that_says_so(tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(key: ModelKey) -> Any:  # noqa: ANN401
        loaded.append(key.device)
        if key.device == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return SimpleNamespace(info=SimpleNamespace(name=key.name))

    pipeline = ScriptedPipeline()
    bench = Bench(tmp_path, pipeline, load_engine=load)
    options = {**bench.job.options, "model": "dns48"}
    bench.replace_job(replace(make_job(id="on-gpu", device=Device.GPU), options=options))
    bench.store.put(bench.job.input.key, RECORDING)

    ended = bench.run()

    assert ended.status is JobStatus.SUCCEEDED
    assert loaded == ["cuda", "cpu"]
    assert pipeline.calls[0]["enhancer"].warnings == (
        "The GPU's memory was not enough for this job; it was finished on the CPU, which takes longer.",
    )

"""A runner on fakes of the ports, with a pipeline that does what a test writes for it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.enhancement.finish import ProducedFile
from core.enhancement.pipeline import PipelineResult
from core.enhancement.progress import ProgressSink
from core.jobs import Job, Progress, Stage
from core.outbound.client import OutboundClient
from core.services import check_recording
from core.settings import Settings
from core.sources.source import Sources
from tests.factories import make_job
from tests.fakes import FakeJobRepository, FakeObjectStore
from worker.fetching import InputFetcher
from worker.lease import utc_now
from worker.model_cache import ModelCache, ModelKey
from worker.processing import Processor, RunLimit
from worker.runner import JobRunner

RECORDING = b"sound"
DONE = Progress(fraction=1.0, processed_s=10.0, duration_s=10.0, eta_s=0.0, rtf=0.1)


class ScriptedPipeline:
    """Makes one file of the input's bytes; `script` acts in the middle, and may raise."""

    def __init__(self, script: Callable[[ProgressSink], None] = lambda on_progress: None) -> None:
        self.script = script
        self.calls: list[dict[str, Any]] = []

    def __call__(self, source: Path, *, workspace: Path, on_progress: ProgressSink, **rest: Any) -> PipelineResult:  # noqa: ANN401
        self.calls.append({"source": source.read_bytes(), "workspace": workspace, **rest})
        if rest["reference"] is not None:
            self.calls[-1]["reference_bytes"] = rest["reference"].read_bytes()
        on_progress(Stage.PREPARE, Progress(fraction=0.1))
        self.script(on_progress)
        output = workspace / "talk.enhanced.wav"
        output.write_bytes(source.read_bytes()[::-1])
        file = ProducedFile(
            path=output,
            name="talk.enhanced.wav",
            role="enhanced",
            media_type="audio/wav",
            bytes=output.stat().st_size,
            sha256=hashlib.sha256(output.read_bytes()).hexdigest(),
        )
        report = {"rtf": 0.1, "loudness_lufs": float("-inf")}
        return PipelineResult(files=(file,), report=report, warnings=("quiet",), progress=DONE)


class Bench:
    """A runner on fakes, with one queued job."""

    def __init__(
        self,
        tmp_path: Path,
        pipeline: ScriptedPipeline,
        *,
        outbound: OutboundClient | None = None,
        limit_s_for: RunLimit | None = None,
        sources: Sources | None = None,
        load_engine: Callable[[ModelKey], Any] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self.settings = Settings(data_dir=tmp_path, **settings)
        self.runs = FakeJobRepository(max_attempts=self.settings.max_attempts)
        self.store = FakeObjectStore()
        self.pipeline = pipeline
        self.is_shutting_down = False
        self.job = make_job(options={**make_job().options, "chain": []})
        self.runs.add(self.job)
        self.store.put(self.job.input.key, RECORDING)
        self.runner = JobRunner(
            runs=self.runs,
            processor=Processor(
                store=self.store,
                fetcher=InputFetcher(
                    runs=self.runs,
                    store=self.store,
                    client=outbound or OutboundClient(),
                    sources=sources or Sources(None, allowed=(), own_bucket="limpid"),
                    check_recording=functools.partial(check_recording, settings=self.settings),
                    max_bytes=self.settings.max_upload_bytes,
                    timeout_s=self.settings.fetch_timeout_s,
                ),
                models=ModelCache(load_engine or _no_engine, capacity=1),
                pipeline=pipeline,
                max_duration_s=60.0,
                scratch_dir=self.settings.resolved_scratch_dir,
                limit_s_for=limit_s_for,
            ),
            settings=self.settings,
            worker="test",
            is_shutting_down=lambda: self.is_shutting_down,
        )

    def run(self) -> Job:
        """Send the job's message and run the job; its state afterwards."""
        self.runs.mark_sent(self.job.id, now=utc_now())
        self.runner.run(self.job.id)
        return self.runs.get(self.job.id)

    def replace_job(self, job: Job) -> None:
        """Let `job` be the one that waits."""
        self.runs.request_cancel(self.job.id, now=utc_now())
        self.runs.add(job)
        self.job = job

    @property
    def stored_keys(self) -> set[str]:
        """The outputs in the store."""
        return set(self.store.objects) - {self.job.input.key}

    @property
    def scratch_files(self) -> list[Path]:
        """Whatever is left on the scratch disk."""
        return list(self.settings.resolved_scratch_dir.rglob("*"))


def _no_engine(key: Any) -> Any:  # noqa: ANN401
    raise AssertionError(f"no engine should be loaded: {key}")

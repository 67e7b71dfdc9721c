"""The work of one run: fetch the recording, run the pipeline, store what it made."""

from __future__ import annotations

import functools
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from core.errors import InsufficientDisk, InvalidOptions
from core.jobs import Device, InputFile, Job, OutputFile
from core.monitoring.tracing import add_span, span
from core.object_keys import output_key
from core.storage import ObjectStore
from worker.fetching import InputFetcher
from worker.lease import Lease
from worker.model_cache import ModelCache, ModelKey
from worker.time_limit import TimeLimit
from worker.workspace import open_workspace

if TYPE_CHECKING:
    from core.enhancement.pipeline import PipelineResult
    from core.enhancement.progress import ProgressSink
    from core.enhancement.protocol import Enhancer
    from core.options import EnhanceOptions

TORCH_DEVICES = {Device.CPU: "cpu", Device.GPU: "cuda"}


class RunLimit(Protocol):
    """How many seconds a run may take (core.estimation.estimate.time_limit_s)."""

    def __call__(self, options: EnhanceOptions, channels: int, audio_s: float, /) -> float: ...


class Pipeline(Protocol):
    """core.enhancement.pipeline.run_pipeline, which only a worker's child process imports."""

    def __call__(
        self,
        source: Path,
        *,
        options: EnhanceOptions,
        input_name: str,
        workspace: Path,
        enhancer: Enhancer | None,
        on_progress: ProgressSink,
        max_duration_s: float,
        reference: Path | None = None,
    ) -> PipelineResult: ...


@dataclass(frozen=True, kw_only=True)
class Processor:
    """What the work needs beside the job and its lease."""

    store: ObjectStore
    fetcher: InputFetcher
    models: ModelCache
    pipeline: Pipeline
    scratch_dir: Path
    max_duration_s: float
    limit_s_for: RunLimit | None = None  # None: a run may take as long as it likes

    def process(self, job: Job, lease: Lease) -> tuple[PipelineResult, list[OutputFile]]:
        """The pipeline's result, its files stored under the attempt's keys; nothing stays on the scratch disk.

        Raises what the fetch, the pipeline and the engine raise, StorageError when the object store stays away, and
        what `lease.check` raises as soon as the run must stop.
        """
        lease.check()
        options = _options_of(job)
        with open_workspace(self.scratch_dir, f"{job.id}-{lease.token}") as workspace:
            source = workspace / "input"
            with span("obtain input"):
                input_file = self._obtain_input(job, lease, source)
                reference = self._obtain_reference(job, lease, workspace / "reference")
            enhancer = self._engine_of(job, options)
            lease.note_progress()
            lease.check()
            began_at_ns = time.time_ns()
            result = self.pipeline(
                source,
                options=options,
                input_name=input_file.name,
                workspace=workspace,
                enhancer=enhancer,
                on_progress=self._limited(lease, options, input_file),
                reference=reference,
                max_duration_s=self.max_duration_s,
            )
            _trace_stages(result, began_at_ns)
            with span("store outputs"):
                return result, self._store_files(job, lease, result)

    def _limited(self, lease: Lease, options: EnhanceOptions, input_file: InputFile) -> ProgressSink:
        if self.limit_s_for is None:
            return lease.report
        limit_s_for = functools.partial(self.limit_s_for, options, input_file.channels or 1)
        return TimeLimit(lease.report, limit_s_for=limit_s_for)

    def _store_files(self, job: Job, lease: Lease, result: PipelineResult) -> list[OutputFile]:
        outputs = []
        for position, file in enumerate(result.files):
            lease.check()
            output = OutputFile(
                name=file.name,
                role=file.role,
                key=output_key(job.id, job.attempt, position),
                media_type=file.media_type,
                bytes=file.bytes,
                sha256=file.sha256,
            )
            self._store_file(file.path, output, lease)
            lease.note_progress()
            outputs.append(output)
        return outputs

    def _obtain_input(self, job: Job, lease: Lease, path: Path) -> InputFile:
        if not job.input.is_stored:
            return self.fetcher.fetch(job, lease, path)
        self._download(job.input, lease, path)
        return job.input

    def _obtain_reference(self, job: Job, lease: Lease, path: Path) -> Path | None:
        reference = job.reference
        if reference is None:
            return None
        if reference.is_stored:
            self._download(reference, lease, path)
        else:
            self.fetcher.fetch_reference(job, reference, lease, path)
        return path

    def _download(self, file: InputFile, lease: Lease, path: Path) -> None:
        _require_room_for(file, path.parent)
        lease.persist(lambda: self.store.download(file.key, path))
        lease.note_progress()

    def _store_file(self, path: Path, output: OutputFile, lease: Lease) -> None:
        lease.persist(lambda: self.store.upload(path, output.key, media_type=output.media_type))

    def _engine_of(self, job: Job, options: EnhanceOptions) -> Enhancer | None:
        if options.model is None:
            return None
        key = ModelKey(
            name=options.model,
            shifts=options.shifts,
            overlap=options.overlap,
            stems=options.stems,
            precision=options.precision,
            device=TORCH_DEVICES[job.device],
        )
        with span("obtain model", {"limpid.model": key.name}):
            if job.device is Device.CPU:
                return self.models.get(key)
            from core.enhancement.memory_ladder import MemoryLadder

            on_cpu = replace(key, device=TORCH_DEVICES[Device.CPU])
            return MemoryLadder(on_gpu=lambda: self.models.get(key), on_cpu=lambda: self.models.get(on_cpu))


def _trace_stages(result: PipelineResult, began_at_ns: int) -> None:
    """The stages follow one another; the pipeline, which knows nothing of traces, reports how long each took."""
    start_ns = began_at_ns
    for stage, duration_s in result.report.get("stage_s", {}).items():
        end_ns = start_ns + int(duration_s * 1e9)
        add_span(str(stage), start_ns=start_ns, end_ns=end_ns)
        start_ns = end_ns


def _options_of(job: Job) -> EnhanceOptions:
    # Imported here, in the child: the chain's steps bring SciPy with them.
    from core.options import EnhanceOptions

    try:
        return EnhanceOptions.model_validate(dict(job.options))
    except ValidationError as error:
        # Checked when it was submitted, so by another version of Limpid.
        raise InvalidOptions("This version of Limpid does not know the job's options; submit it again.") from error


def _require_room_for(file: InputFile, workspace: Path) -> None:
    free_bytes = shutil.disk_usage(workspace).free
    if file.bytes > free_bytes:
        raise InsufficientDisk(f"The recording takes {file.bytes} bytes of scratch space, and {free_bytes} are free.")

"""Engines on a GPU whose memory runs out; the GPU is a double that raises what PyTorch raises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from core.audio.segments import Segment, SegmentPlan
from core.enhancement.memory_ladder import MemoryLadder
from core.enhancement.pipeline import PipelineResult, run_pipeline
from core.enhancement.protocol import EnhancerInfo, FloatArray, ProgressCallback, SignalStatistics
from core.options import resolve_options

WAV = np.ones((1, 8), dtype=np.float32)
STATISTICS = SignalStatistics(samples=8, mean=1.0, std=0.0, peak=1.0)


class FixedBatchEngine:
    """Doubles its input, in memory for `fits` samples at once."""

    def __init__(self, *, batch: int, fits: int, error: Exception | None = None) -> None:
        self.batch = batch
        self.fits = fits
        self.error = error or torch.OutOfMemoryError("CUDA out of memory")
        self.calls = 0
        self.info = EnhancerInfo(
            name="double",
            sample_rate=16_000,
            channels=1,
            stems=("enhanced",),
            segment=SegmentPlan(segment_samples=8, context_samples=0, crossfade_samples=0),
            weights_sha256=None,
            licence="none",
        )

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        self.calls += 1
        if self.batch > self.fits:
            raise self.error
        return 2 * wav[None]


class ShrinkingEngine(FixedBatchEngine):
    """The same with a batch that can be halved down to 1."""

    def halve_batch(self) -> bool:
        if self.batch == 1:
            return False
        self.batch //= 2
        return True


def unreachable_cpu() -> FixedBatchEngine:
    raise AssertionError("the CPU was not needed")


def run(ladder: MemoryLadder) -> FloatArray:
    return ladder.enhance(WAV, 16_000, statistics=STATISTICS)


def test_enough_memory_changes_nothing_and_says_nothing() -> None:
    engine = ShrinkingEngine(batch=8, fits=8)
    ladder = MemoryLadder(on_gpu=lambda: engine, on_cpu=unreachable_cpu)

    assert np.array_equal(run(ladder), 2 * WAV[None])
    assert (engine.calls, ladder.warnings, ladder.info) == (1, (), engine.info)


def test_batch_is_halved_until_it_fits_and_stays_so() -> None:
    engine = ShrinkingEngine(batch=8, fits=2)
    ladder = MemoryLadder(on_gpu=lambda: engine, on_cpu=unreachable_cpu)

    assert np.array_equal(run(ladder), 2 * WAV[None])
    assert np.array_equal(run(ladder), 2 * WAV[None])
    assert (engine.batch, engine.calls) == (2, 4)
    assert "4 times smaller" in ladder.warnings[0]


@pytest.mark.parametrize("gpu", [ShrinkingEngine(batch=4, fits=0), FixedBatchEngine(batch=4, fits=0)])
def test_what_never_fits_is_finished_on_the_cpu(gpu: FixedBatchEngine) -> None:
    cpu = FixedBatchEngine(batch=4, fits=4)
    ladder = MemoryLadder(on_gpu=lambda: gpu, on_cpu=lambda: cpu)
    run(ladder)
    tries = gpu.calls

    assert np.array_equal(run(ladder), 2 * WAV[None])
    assert (gpu.calls, cpu.calls) == (tries, 2)
    assert ladder.warnings == (
        "The GPU's memory was not enough for this job; it was finished on the CPU, which takes longer.",
    )


def test_engine_that_does_not_even_load_runs_on_the_cpu() -> None:
    def on_gpu() -> FixedBatchEngine:
        raise torch.OutOfMemoryError("CUDA out of memory")

    ladder = MemoryLadder(on_gpu=on_gpu, on_cpu=lambda: FixedBatchEngine(batch=4, fits=4))

    assert np.array_equal(run(ladder), 2 * WAV[None])
    assert "finished on the CPU" in ladder.warnings[0]


def test_memory_that_is_short_on_the_cpu_too_is_the_job_s_error() -> None:
    engine = FixedBatchEngine(batch=4, fits=0)
    ladder = MemoryLadder(on_gpu=lambda: engine, on_cpu=lambda: engine)

    with pytest.raises(torch.OutOfMemoryError):
        run(ladder)


def test_other_errors_pass_at_once() -> None:
    engine = ShrinkingEngine(batch=4, fits=0, error=ValueError("no such rate"))

    with pytest.raises(ValueError, match="no such rate"):
        run(MemoryLadder(on_gpu=lambda: engine, on_cpu=unreachable_cpu))
    assert engine.batch == 4


class WatchfulEngine(FixedBatchEngine):
    """Says of every segment that it got through where that begins in the recording."""

    def __init__(self, *, good_calls: int = 3) -> None:
        super().__init__(batch=8, fits=8)
        self._good_calls = good_calls
        self.warnings: tuple[str, ...] = ("of a recording before",)
        self._start = 0

    def begin_recording(self) -> None:
        self.warnings = ()

    def begin_segment(self, segment: Segment) -> None:
        self._start = segment.start

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        self.fits = self.batch if self.calls < self._good_calls else 0
        estimate = super().enhance(wav, sample_rate, statistics=statistics, seed=seed, on_progress=on_progress)
        self.warnings += (f"odd at {self._start}",)
        return estimate


def run_job(ladder: MemoryLadder, folder: Path) -> PipelineResult:
    """A recording of three segments, by the real pipeline."""
    soundfile.write(folder / "in.wav", np.full(24, 0.1), 16_000, subtype="FLOAT")
    return run_pipeline(
        folder / "in.wav",
        options=resolve_options("speech", {"pictures": False}),
        input_name="in.wav",
        workspace=folder,
        enhancer=ladder,
        on_progress=lambda stage, progress: None,
    )


def test_job_is_told_what_its_engine_has_to_say(tmp_path: Path) -> None:
    ladder = MemoryLadder(on_gpu=WatchfulEngine, on_cpu=unreachable_cpu)

    result = run_job(ladder, tmp_path)

    assert result.warnings == ("odd at 0", "odd at 8", "odd at 16")


def test_job_that_is_finished_on_the_cpu_is_told_what_both_engines_have_to_say(tmp_path: Path) -> None:
    gpu = WatchfulEngine(good_calls=1)
    ladder = MemoryLadder(on_gpu=lambda: gpu, on_cpu=WatchfulEngine)

    result = run_job(ladder, tmp_path)

    assert result.warnings == (
        "odd at 0",
        "odd at 8",
        "odd at 16",
        "The GPU's memory was not enough for this job; it was finished on the CPU, which takes longer.",
    )

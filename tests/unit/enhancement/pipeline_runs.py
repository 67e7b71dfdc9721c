"""Runs of the whole pipeline on made recordings, with an engine that only changes the level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from core.audio.segments import SegmentPlan
from core.enhancement.pipeline import PipelineResult, run_pipeline
from core.enhancement.protocol import EnhancerInfo, FloatArray, ProgressCallback, SignalStatistics
from core.errors import JobCancelled
from core.jobs import Progress, Stage
from core.options import resolve_options


class GainEnhancer:
    """An engine that multiplies by one gain per stem, in small segments."""

    def __init__(self, gains: Sequence[float] = (1.0,), *, sample_rate: int = 16_000, channels: int = 1) -> None:
        self.gains = gains
        self.calls: list[tuple[tuple[int, ...], SignalStatistics]] = []
        self.info = EnhancerInfo(
            name="gain",
            sample_rate=sample_rate,
            channels=channels,
            stems=("enhanced",) if len(gains) == 1 else tuple(f"stem{index}" for index in range(len(gains))),
            segment=SegmentPlan(segment_samples=4000, context_samples=200, crossfade_samples=100),
            weights_sha256=None,
            licence="Apache-2.0",
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
        assert sample_rate == self.info.sample_rate
        self.calls.append((wav.shape, statistics))
        if on_progress:
            on_progress(0.5)
        return np.stack([wav * np.float32(gain) for gain in self.gains])


class Recorder:
    """A progress sink that remembers, and stops the run when told to."""

    def __init__(self, stop_at: Stage | None = None) -> None:
        self.steps: list[tuple[Stage, Progress]] = []
        self.stop_at = stop_at

    def __call__(self, stage: Stage, progress: Progress) -> None:
        self.steps.append((stage, progress))
        if stage is self.stop_at:
            raise JobCancelled


def noise(frames: int, channels: int, seed: int = 1) -> FloatArray:
    return (0.2 * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)


def run(
    tmp_path: Path,
    wav: FloatArray,
    sample_rate: int,
    enhancer: GainEnhancer | None,
    *,
    overrides: dict[str, Any] | None = None,
    outputs: list[dict[str, Any]] | None = None,
    sink: Recorder | None = None,
    subtype: str = "FLOAT",
) -> PipelineResult:
    source = tmp_path / "source.wav"
    soundfile.write(source, wav.T, sample_rate, subtype=subtype)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    preset = "speech" if enhancer else "clean-only"
    return run_pipeline(
        source,
        options=resolve_options(preset, {"pictures": False, **(overrides or {})}, outputs),
        input_name="talk.wav",
        workspace=workspace,
        enhancer=enhancer,
        on_progress=sink or Recorder(),
    )


def read(result: PipelineResult, index: int = 0) -> tuple[FloatArray, int]:
    wav, sample_rate = soundfile.read(result.files[index].path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(wav.T), sample_rate


def level_dbfs(wav: FloatArray) -> float:
    return float(20 * np.log10(np.abs(wav).max() + 1e-12))

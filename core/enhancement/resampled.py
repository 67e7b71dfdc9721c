"""An engine at a multiple of its own rate, to stand beside one that works there."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from core.audio.resample import expected_frames, resample_stream
from core.audio.segments import SegmentPlan
from core.enhancement.protocol import Enhancer, EnhancerInfo, FloatArray, ProgressCallback, SignalStatistics


class ResampledEnhancer:
    """`engine` for waves at `sample_rate`, a whole multiple of its rate: without delay, of the same length.

    What the recording holds above half of the engine's rate is lost. ValueError for another rate.
    """

    def __init__(self, engine: Enhancer, *, sample_rate: int) -> None:
        own_rate = engine.info.sample_rate
        if sample_rate % own_rate:
            raise ValueError(f"{sample_rate} Hz is no multiple of the {own_rate} Hz of {engine.info.name}")
        self._engine = engine
        self._factor = sample_rate // own_rate
        plan = engine.info.segment
        self._info = replace(
            engine.info,
            sample_rate=sample_rate,
            segment=SegmentPlan(
                segment_samples=self._factor * plan.segment_samples,
                context_samples=self._factor * plan.context_samples,
                crossfade_samples=self._factor * plan.crossfade_samples,
                grid_samples=self._factor * plan.grid_samples,
            ),
        )

    @property
    def info(self) -> EnhancerInfo:
        """What the engine states about itself, its rate and segments being those of this one."""
        return self._info

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        """Return the engine's estimates (S, C, T) of `wav` (C, T); ValueError when that is at another rate."""
        if sample_rate != self._info.sample_rate:
            raise ValueError(f"{self._info.name} takes {self._info.sample_rate} Hz here, got {sample_rate} Hz")
        own_rate = sample_rate // self._factor
        estimates = self._engine.enhance(
            resampled(wav, sample_rate, output_rate=own_rate),
            own_rate,
            statistics=replace(statistics, samples=-(-statistics.samples // self._factor)),
            seed=seed,
            on_progress=on_progress,
        )
        at_rate = resampled(estimates.reshape(math.prod(estimates.shape[:-1]), -1), own_rate, output_rate=sample_rate)
        return at_rate[:, : wav.shape[-1]].reshape(*estimates.shape[:-1], wav.shape[-1])


def resampled(wav: FloatArray, input_rate: int, *, output_rate: int) -> FloatArray:
    """Return `wav` (C, T) at `output_rate`, aligned with it, (C, ceil(T * output / input)); silence stays exact."""
    if not wav.any():
        return np.zeros((wav.shape[0], expected_frames(wav.shape[1], input_rate, output_rate)), dtype=np.float32)
    blocks = list(resample_stream([wav], input_rate, output_rate=output_rate, channels=wav.shape[0]))
    return np.concatenate(blocks, axis=-1)

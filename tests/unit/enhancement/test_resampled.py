"""An engine at three times its rate: no delay, the same length, silence stays silence."""

from __future__ import annotations

import numpy as np
import pytest

from core.audio.segments import SegmentPlan
from core.enhancement.protocol import EnhancerInfo, FloatArray, ProgressCallback, SignalStatistics
from core.enhancement.resampled import ResampledEnhancer

STATISTICS = SignalStatistics(samples=48_000, mean=0.0, std=0.1, peak=0.5)


class PassThrough:
    """Gives back what it is given, at 16 kHz."""

    info = EnhancerInfo(
        name="pass",
        sample_rate=16_000,
        channels=1,
        stems=("enhanced",),
        segment=SegmentPlan(segment_samples=1000, context_samples=30, crossfade_samples=20, grid_samples=10),
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
        assert sample_rate == 16_000
        assert statistics.samples == 16_000
        return wav[None]


@pytest.mark.parametrize("samples", [48_000, 47_999, 48_001, 1, 0])
def test_length_and_alignment_are_those_of_the_input(samples: int) -> None:
    time = np.arange(samples) / 48_000
    wav = (0.3 * np.sin(2 * np.pi * 700 * time) * np.sin(np.pi * time) ** 2).astype(np.float32)[np.newaxis]

    estimate = ResampledEnhancer(PassThrough(), sample_rate=48_000).enhance(wav, 48_000, statistics=STATISTICS)

    assert estimate.shape == (1, 1, samples)
    assert np.abs(estimate[0] - wav).max(initial=0) < 1e-4


def test_segments_take_as_long_as_before() -> None:
    info = ResampledEnhancer(PassThrough(), sample_rate=48_000).info

    assert info.sample_rate == 48_000
    assert info.segment == SegmentPlan(segment_samples=3000, context_samples=90, crossfade_samples=60, grid_samples=30)


def test_silence_stays_exact_silence() -> None:
    silence = np.zeros((1, 48_000), np.float32)

    estimate = ResampledEnhancer(PassThrough(), sample_rate=48_000).enhance(silence, 48_000, statistics=STATISTICS)

    assert not estimate.any()


def test_a_rate_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        ResampledEnhancer(PassThrough(), sample_rate=44_100)

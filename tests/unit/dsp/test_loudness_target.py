"""The loudness target: met by one gain, held back by the true-peak ceiling."""

from __future__ import annotations

import numpy as np
import pytest

from core.audio.loudness import LoudnessMeter
from core.dsp.loudness_target import LoudnessNormalize
from core.dsp.step import FloatArray
from core.errors import InvalidOptions
from tests.unit.dsp.signals import apply, hiss, sine

SAMPLE_RATE = 16_000


def measure(wav: FloatArray) -> tuple[float | None, float | None]:
    meter = LoudnessMeter(SAMPLE_RATE, wav.shape[0])
    meter.update(wav)
    found = meter.result()
    return found.integrated_lufs, found.true_peak_dbtp


@pytest.mark.parametrize("rms", [0.005, 0.2])
def test_recording_gets_the_target_loudness_by_one_gain(rms: float) -> None:
    wav = hiss(3 * SAMPLE_RATE, rms=rms, channels=2)

    normalized = apply(LoudnessNormalize(target_lufs=-23), wav)

    assert measure(normalized)[0] == pytest.approx(-23, abs=0.1)
    assert np.allclose(normalized / wav, normalized[0, 0] / wav[0, 0], rtol=1e-4)


def test_true_peak_ceiling_comes_before_the_target() -> None:
    wav = sine(1000, SAMPLE_RATE, seconds=3, amplitude=0.01)
    wav[:, 20_000] = 0.5

    normalized = apply(LoudnessNormalize(target_lufs=-14), wav)

    loudness, peak = measure(normalized)
    assert peak == pytest.approx(-1, abs=0.1)
    assert loudness is not None
    assert loudness < -20


def test_gain_stops_at_its_limit() -> None:
    wav = hiss(3 * SAMPLE_RATE, rms=3e-4)

    gain = apply(LoudnessNormalize(max_gain_db=20), wav)[0, 100] / wav[0, 100]

    assert 20 * np.log10(gain) == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("wav", [np.zeros((1, 48_000), np.float32), hiss(3_000, rms=0.1)], ids=["silent", "short"])
def test_what_has_no_loudness_is_left_as_it_is(wav: FloatArray) -> None:
    assert np.array_equal(apply(LoudnessNormalize(), wav), wav)


def test_target_above_the_limit_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="target_lufs is 0; it must be -50 to -5 LUFS"):
        LoudnessNormalize(target_lufs=0)

"""The noise gate: attenuation by the squared envelope, a relative threshold, a shared mask."""

from __future__ import annotations

import numpy as np
import pytest

from core.dsp.noise_gate import NoiseGate, PowerEnvelope
from core.errors import InvalidOptions
from tests.unit.dsp.signals import apply, hiss, level_db, sine

RATE = 16_000


def loud_then_quiet(quiet_db: float) -> np.ndarray:
    """Return a sine of 2 s whose second half lies `quiet_db` below the first."""
    wav = sine(400.0, RATE, seconds=2.0)
    wav[:, RATE:] *= 10 ** (quiet_db / 20)
    return wav


@pytest.mark.parametrize("below_threshold_db", [0.0, 5.0, 10.0, 20.0])
def test_attenuation_is_twice_the_distance_below_the_threshold(below_threshold_db: float) -> None:
    wav = loud_then_quiet(-30.0 - below_threshold_db)

    gated = apply(NoiseGate(), wav)

    quiet = slice(RATE + 2_000, 2 * RATE - 2_000)
    change_db = level_db(gated[:, quiet]) - level_db(wav[:, quiet])
    assert change_db == pytest.approx(-2 * below_threshold_db, abs=0.1)


def test_what_lies_above_the_threshold_is_untouched() -> None:
    wav = loud_then_quiet(-25.0)

    assert np.array_equal(apply(NoiseGate(), wav), wav)


@pytest.mark.parametrize("gain", [0.001, 0.1, 2.0])
def test_result_does_not_depend_on_the_level_of_the_recording(gain: float) -> None:
    wav = loud_then_quiet(-40.0)

    assert np.allclose(apply(NoiseGate(), wav * np.float32(gain)), apply(NoiseGate(), wav) * gain, rtol=1e-4)


def test_one_click_does_not_raise_the_threshold() -> None:
    wav = sine(400.0, RATE, seconds=2.0, amplitude=0.05)
    clicked = wav.copy()
    clicked[:, RATE // 2] = 1.0

    assert np.array_equal(apply(NoiseGate(), clicked), clicked)


def test_all_channels_share_one_mask() -> None:
    wav = np.concatenate([loud_then_quiet(-45.0), 0.3 * loud_then_quiet(-45.0)])

    gated = apply(NoiseGate(), wav)

    assert np.allclose(gated[1], 0.3 * gated[0], atol=1e-7)


def test_envelope_is_the_centred_mean_power() -> None:
    wav = hiss(500, rms=0.3, channels=2)
    envelope = PowerEnvelope(7)

    parts = [envelope.process(wav[:, start : start + 33]) for start in range(0, 500, 33)]
    found = np.concatenate([*parts, envelope.flush()])

    power = np.mean(wav.astype(np.float64) ** 2, axis=0)
    assert np.allclose(found, np.convolve(power, np.ones(15) / 15, mode="same"), atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2, 300, 700])
def test_recordings_shorter_than_the_window_keep_their_length(frames: int) -> None:
    assert apply(NoiseGate(), hiss(frames, rms=0.1), block_frames=64).shape == (1, frames)


@pytest.mark.parametrize("block_frames", [1, 100, 12_345])
def test_blocks_equal_the_whole(block_frames: int) -> None:
    wav = np.concatenate([hiss(3_000, rms=0.2, channels=2), hiss(3_001, rms=0.002, channels=2)], axis=-1)

    whole = apply(NoiseGate(), wav, block_frames=wav.shape[-1])

    assert whole.shape == wav.shape
    assert np.abs(apply(NoiseGate(), wav, block_frames=block_frames) - whole).max() < 1e-6


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"threshold_db": 1}, "noise_gate: threshold_db is 1; it must be -90 to 0 dB"),
        ({"smoothing_ms": 0}, "noise_gate: smoothing_ms is 0; it must be 1 to 1000 ms"),
    ],
)
def test_parameters_out_of_range_are_named_with_their_limits(parameters: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidOptions, match=words):
        NoiseGate(**parameters)

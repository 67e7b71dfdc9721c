"""Blind figures by physics: what was put into a signal is what the meters find."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.audio.clipping import ClippingMeter
from core.audio.quality import Quality, QualityMeter, estimate_snr_db
from core.audio.si_sdr import SiSdrMeter
from core.audio.types import FloatArray

RATE = 16_000


def measure(wav: FloatArray, sample_rate: int = RATE, *, block_frames: int = 65_536) -> Quality:
    meter = QualityMeter(sample_rate, wav.shape[0])
    for start in range(0, wav.shape[-1], block_frames):
        meter.update(wav[:, start : start + block_frames])
    return meter.result()


def noise(frames: int, *, level_dbfs: float = -20, channels: int = 1, seed: int = 0) -> FloatArray:
    samples = np.random.default_rng(seed).standard_normal((channels, frames))
    return (10 ** (level_dbfs / 20) * samples).astype(np.float32)


def sine(frequency_hz: float, seconds: float, sample_rate: int = RATE, *, amplitude: float = 0.5) -> FloatArray:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time))[None].astype(np.float32)


def bursts(frames: int, *, level_dbfs: float) -> FloatArray:
    """Noise that is on for half of every second."""
    is_on = np.arange(frames) % RATE < RATE // 2
    return (noise(frames, level_dbfs=level_dbfs, seed=1) * is_on).astype(np.float32)


def test_peak_rms_and_offset_are_those_of_the_samples() -> None:
    quality = measure(np.concatenate([sine(100, 1) + np.float32(0.01), sine(100, 1) - np.float32(0.1)]))

    assert quality.peak_dbfs == pytest.approx(20 * math.log10(0.6), abs=0.01)
    assert quality.rms_dbfs == pytest.approx(10 * math.log10(0.125 + (0.01**2 + 0.1**2) / 2), abs=0.01)
    assert quality.dc_offset == pytest.approx(-0.1, abs=1e-5)


def test_noise_floor_is_the_level_of_the_pauses() -> None:
    quality = measure(bursts(10 * RATE, level_dbfs=-20) + noise(10 * RATE, level_dbfs=-60))

    assert quality.noise_floor_dbfs == pytest.approx(-60, abs=0.3)


def test_an_offset_is_no_noise() -> None:
    quality = measure(noise(5 * RATE, level_dbfs=-70) + np.float32(0.1))

    assert quality.noise_floor_dbfs == pytest.approx(-70, abs=0.4)


@pytest.mark.parametrize("snr_db", [-5, 0, 10, 20, 40])
def test_snr_of_bursts_in_steady_noise_is_estimated_within_1_db(snr_db: float) -> None:
    signal_dbfs = -20 - 10 * math.log10(2)

    quality = measure(bursts(20 * RATE, level_dbfs=-20) + noise(20 * RATE, level_dbfs=signal_dbfs - snr_db))

    assert quality.snr_db == pytest.approx(snr_db, abs=1.0)


@pytest.mark.parametrize(
    ("power", "noise_power", "expected_db"),
    [(0.0, 0.0, None), (1.0, 0.0, None), (2.0, 1.0, 0.0), (1.0, 1.0, -20.0), (1.0, 2.0, -20.0), (1.0, 1e-15, 100.0)],
)
def test_snr_stays_within_its_limits(power: float, noise_power: float, expected_db: float | None) -> None:
    assert estimate_snr_db(power, noise_power) == expected_db


def test_flat_tops_at_full_scale_are_clipping() -> None:
    wav = np.clip(sine(100, 1, amplitude=2.0), -1, 1)

    quality = measure(wav)

    # Two tops per period; a sine of twice full scale is beyond it for two thirds of the time.
    assert quality.clipped_runs == pytest.approx(200, abs=1)
    assert quality.clipped_samples / RATE == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize(
    "wav",
    [
        pytest.param(sine(440, 1, amplitude=1.0), id="a sine that just reaches full scale"),
        pytest.param(np.clip(sine(100, 1, amplitude=2.0), -1, 1) * np.float32(0.5), id="flat tops far below it"),
        pytest.param(noise(RATE, level_dbfs=0), id="float noise beyond it"),
    ],
)
def test_what_is_not_flat_near_full_scale_is_no_clipping(wav: FloatArray) -> None:
    assert measure(wav).clipped_samples == 0


@pytest.mark.parametrize("block_frames", [1, 2, 3, 7, 1_000])
def test_runs_are_counted_across_blocks(block_frames: int) -> None:
    wav = np.zeros((2, 40), np.float32)
    wav[0, 5:10] = 1.0
    wav[0, 10:12] = -1.0  # two are no run
    wav[1, 20:23] = -0.99
    wav[1, 23:27] = 0.99
    wav[1, 39] = 1.0
    meter = ClippingMeter(2)

    for start in range(0, wav.shape[-1], block_frames):
        block = wav[:, start : start + block_frames]
        meter.update(block, peak=float(np.abs(block).max()))

    assert (meter.runs, meter.samples) == (3, 5 + 3 + 4)


@pytest.mark.parametrize("block_frames", [1_000, 1_601, 7])
def test_result_does_not_depend_on_the_block_size(block_frames: int) -> None:
    wav = np.clip(noise(5_000, level_dbfs=-3, channels=2), -1, 1)

    whole, pieces = measure(wav, block_frames=5_000), measure(wav, block_frames=block_frames)

    for name, value in vars(whole).items():
        assert getattr(pieces, name) == pytest.approx(value, rel=1e-5), name


def test_silence_has_no_levels() -> None:
    assert measure(np.zeros((2, RATE), np.float32)) == Quality(
        peak_dbfs=None,
        rms_dbfs=None,
        dc_offset=0.0,
        noise_floor_dbfs=None,
        snr_db=None,
        clipped_samples=0,
        clipped_runs=0,
    )


@pytest.mark.parametrize("frames", [0, 1, 100])
def test_too_short_a_signal_has_a_peak_but_no_noise_floor(frames: int) -> None:
    quality = measure(np.full((1, frames), 0.5, np.float32))

    assert quality.peak_dbfs == (pytest.approx(-6.02, abs=0.01) if frames else None)
    assert quality.noise_floor_dbfs is None
    assert quality.snr_db is None


def si_sdr(estimate: FloatArray, reference: FloatArray, block_frames: int = 777) -> float | None:
    meter = SiSdrMeter(reference.shape[0])
    for start in range(0, reference.shape[-1], block_frames):
        meter.update(estimate[:, start : start + block_frames], reference[:, start : start + block_frames])
    return meter.result()


@pytest.mark.parametrize("gain", [-1.0, 0.1, 3.0])
@pytest.mark.parametrize("sdr_db", [-10, 0, 20, 60])
def test_si_sdr_is_the_ratio_that_was_mixed_whatever_the_gain_and_offset(sdr_db: float, gain: float) -> None:
    reference = noise(RATE)
    distortion = noise(RATE, seed=1).astype(np.float64)
    projection = (distortion * reference).sum() / np.square(reference, dtype=np.float64).sum()
    distortion -= projection * reference + distortion.mean()
    distortion *= math.sqrt(np.square(reference).sum() / np.square(distortion).sum()) * 10 ** (-sdr_db / 20)

    estimate = (gain * (reference + distortion) + 0.05).astype(np.float32)

    assert si_sdr(estimate, reference) == pytest.approx(sdr_db, abs=0.01)


def test_si_sdr_is_the_mean_over_the_channels() -> None:
    reference, distortion = noise(RATE, channels=2), noise(RATE, channels=2, seed=1)
    gains = np.array([[0.1], [0.01]], np.float32)

    assert si_sdr(reference + gains * distortion, reference) == pytest.approx((20 + 40) / 2, abs=0.2)


def test_si_sdr_of_an_exact_copy_is_beyond_what_is_heard() -> None:
    ratio = si_sdr(2 * noise(RATE), noise(RATE))

    assert ratio is not None
    assert ratio > 120


def test_si_sdr_of_silence_is_undefined() -> None:
    silence = np.zeros((1, RATE), np.float32)

    assert si_sdr(silence, noise(RATE)) is None
    assert si_sdr(noise(RATE), silence) is None
    assert SiSdrMeter(1).result() is None


def test_si_sdr_refuses_signals_of_different_shape() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        SiSdrMeter(1).update(np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32))

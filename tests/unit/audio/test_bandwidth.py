"""Which band a recording uses, read off its spectrogram."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from core.audio.spectrogram import SpectrogramMeter
from core.audio.types import FloatArray

RATE = 48_000


def noise(frames: int) -> FloatArray:
    return (0.1 * np.random.default_rng(0).standard_normal((1, frames))).astype(np.float32)


def sine(frequency_hz: float, frames: int) -> FloatArray:
    return (0.1 * np.sin(2 * np.pi * frequency_hz * np.arange(frames) / RATE + 1))[None].astype(np.float32)


def measure(wav: FloatArray, sample_rate: int = RATE) -> float | None:
    meter = SpectrogramMeter(sample_rate, len(wav), frames=wav.shape[-1])
    meter.update(wav)
    return meter.result().bandwidth_hz


@pytest.mark.parametrize(("sample_rate", "cutoff_hz"), [(48_000, 3_400), (48_000, 16_000), (44_100, 7_000)])
def test_bandwidth_is_where_a_steep_low_pass_cuts(sample_rate: int, cutoff_hz: float) -> None:
    band = butter(20, cutoff_hz, fs=sample_rate, output="sos")

    bandwidth_hz = measure(sosfilt(band, noise(5 * sample_rate)).astype(np.float32), sample_rate)

    # 80 dB down a 20th-order Butterworth: half an octave above its corner, less near half the rate.
    assert bandwidth_hz is not None
    assert cutoff_hz <= bandwidth_hz <= cutoff_hz * 1.6


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 48_000])
def test_bandwidth_of_white_noise_is_half_the_sample_rate(sample_rate: int) -> None:
    assert measure(noise(sample_rate), sample_rate) == sample_rate / 2


@pytest.mark.parametrize("seconds", [0.2, 3])
def test_neither_rounding_to_16_bits_nor_a_sudden_start_counts_as_bandwidth(seconds: float) -> None:
    wav = np.round(sine(997, round(seconds * RATE)) * 32_768) / np.float32(32_768)

    # The window's own skirts, 80 dB down, are 0.4 kHz wide.
    assert measure(wav) == pytest.approx(997, abs=400)


@pytest.mark.parametrize("frames", [1, 2_047])
def test_what_is_shorter_than_a_frame_has_no_bandwidth(frames: int) -> None:
    assert measure(noise(frames)) is None


def test_silence_has_no_bandwidth() -> None:
    assert measure(np.zeros((2, RATE), np.float32)) is None

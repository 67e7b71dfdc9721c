"""Interpolating only where the peak so far may be exceeded gives what interpolating everywhere does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from core.audio.true_peak import OVERSAMPLING, TAPS, TruePeakMeter, interpolation_filters
from core.audio.types import FloatArray

RATE = 48_000
FRAMES = 60_000
GENERATOR = np.random.default_rng(3)


def true_peak_of_all(wav: FloatArray) -> float:
    """The largest of all samples and all interpolated values, silence around the signal."""
    padded = np.pad(wav, ((0, 0), (TAPS - 1, TAPS - 1)))
    between = sliding_window_view(padded, TAPS, axis=-1) @ interpolation_filters(OVERSAMPLING).T
    return max(float(np.abs(between).max()), float(np.abs(wav).max(initial=0.0)))


def true_peak(wav: FloatArray, *, block_frames: int = 65_536) -> float:
    meter = TruePeakMeter(wav.shape[0])
    for start in range(0, wav.shape[-1], block_frames):
        meter.update(wav[:, start : start + block_frames])
    return meter.result()


def sine(frequency_hz: float) -> FloatArray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(FRAMES) / RATE)[None].astype(np.float32)


def noise(channels: int = 1) -> FloatArray:
    return (0.2 * GENERATOR.standard_normal((channels, FRAMES))).astype(np.float32)


def low_noise() -> FloatArray:
    """As smooth as a voice: neighbours differ by little."""
    walk = np.cumsum(noise(), axis=-1)
    return np.asarray(walk / np.abs(walk).max(), dtype=np.float32)


def impulses() -> FloatArray:
    wav = np.zeros((1, FRAMES), np.float32)
    wav[0, [0, 1, 17, 30_000, FRAMES - 2, FRAMES - 1]] = [0.7, -0.7, 0.5, -0.9, 0.9, 0.9]
    return wav


SIGNALS: dict[str, Callable[[], FloatArray]] = {
    "noise": noise,
    "three channels of noise": lambda: noise(3),
    "smooth noise": low_noise,
    "low sine": lambda: 0.9 * sine(97.3),
    "sine of a quarter of the rate": lambda: np.roll(sine(RATE / 4 + 0.1), 1),
    "high sine": lambda: 0.5 * sine(20_011),
    "alternating full scale": lambda: np.tile(np.array([[1.0, -1.0]], np.float32), FRAMES // 2),
    "clipped sine": lambda: np.clip(3 * sine(1_234.5), -1, 1),
    "clipped noise": lambda: np.clip(8 * noise(), -1, 1),
    "offset": lambda: 0.5 + 0.01 * noise(),
    "swelling noise": lambda: noise() * np.linspace(0, 1, FRAMES, dtype=np.float32),
    "fading noise": lambda: noise() * np.linspace(1, 0, FRAMES, dtype=np.float32),
    "impulses": impulses,
    "loud beside a quiet channel": lambda: np.concatenate([low_noise(), 1e-3 * noise()]),
    "silence": lambda: np.zeros((2, FRAMES), np.float32),
}


@pytest.mark.parametrize("block_frames", [7, 997, 65_536])
@pytest.mark.parametrize("name", SIGNALS)
def test_true_peak_is_that_of_all_interpolated_values(name: str, block_frames: int) -> None:
    wav = SIGNALS[name]()[:, : 2_000 if block_frames == 7 else FRAMES]

    assert true_peak(wav, block_frames=block_frames) == pytest.approx(true_peak_of_all(wav), rel=1e-6)


@pytest.mark.parametrize("frames", [1, 2, TAPS - 1, TAPS, TAPS + 1])
def test_true_peak_of_a_few_samples_is_that_of_all_interpolated_values(frames: int) -> None:
    for _ in range(20):
        wav = GENERATOR.uniform(-1, 1, (1, frames)).astype(np.float32)

        assert true_peak(wav) == pytest.approx(true_peak_of_all(wav), rel=1e-6)

"""What a film's sound chain does to the programme itself: wow and flutter, and the Academy curve; (T,) float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from training.noises import FloatArray

ACADEMY_HZ = (20.0, 40.0, 100.0, 1600.0, 2500.0, 5000.0, 8000.0, 16_000.0)
ACADEMY_DB = (-14.0, -7.0, 0.0, 0.0, -2.5, -10.0, -18.0, -36.0)
"""The house curve of 1938 (the "normal" curve of cinemas): flat 100 Hz to 1.6 kHz, -7 dB at 40 Hz, -10 dB at 5 kHz,
-18 dB at 8 kHz; beyond, what loudspeakers of the time still gave."""

WOW_HZ = (0.3, 3.0)
FLUTTER_HZ = (6.0, 96.0)
MAX_WOW = 0.004  # peak deviation of speed, 0.4 %
MAX_FLUTTER = 0.0015


def wow_and_flutter(wav: FloatArray, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return `wav` (T,) played at an unsteady speed: slow wow and fast flutter of random rate and depth.

    The time axis is warped by at most a few milliseconds and pinned at the start; the length is kept.
    """
    samples = len(wav)
    if samples < 4:
        return wav
    time_s = np.arange(samples) / sample_rate
    shift_s = np.zeros(samples)
    for (low_hz, high_hz), limit in ((WOW_HZ, MAX_WOW), (FLUTTER_HZ, MAX_FLUTTER)):
        rate_hz = float(np.exp(rng.uniform(np.log(low_hz), np.log(high_hz))))
        phase = rng.uniform(0, 2 * np.pi)
        # The speed deviates by limit * cos, so the position by its integral.
        shift_s += rng.uniform(0, limit) / (2 * np.pi * rate_hz) * np.sin(2 * np.pi * rate_hz * time_s + phase)
    positions = np.clip((time_s + shift_s - shift_s[0]) * sample_rate, 0, samples - 1)
    return np.asarray(CubicSpline(np.arange(samples), wav)(positions), dtype=np.float32)


def academy_gain_db(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Academy curve in dB at `frequencies_hz`, straight lines over a logarithmic axis; flat beyond."""
    floor = np.maximum(frequencies_hz, ACADEMY_HZ[0])
    return np.asarray(np.interp(np.log(floor), np.log(ACADEMY_HZ), ACADEMY_DB))


def academy_filter(wav: FloatArray, *, sample_rate: int, amount: float = 1.0) -> FloatArray:
    """Return `wav` (T,) through `amount` (0..1) of the Academy curve in dB, without delay; the ends meet in a loop."""
    frequencies = np.asarray(np.fft.rfftfreq(len(wav), 1 / sample_rate), dtype=np.float64)
    gain = 10 ** (amount * academy_gain_db(frequencies) / 20)
    return np.fft.irfft(np.fft.rfft(wav) * gain, len(wav)).astype(np.float32)

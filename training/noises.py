"""Synthetic noises for what recordings of noise lack: stationary colours, ambience, and worn records.

Every function returns (T,) float32 of arbitrary level (the mixer sets it) and draws from the given generator only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

FloatArray = NDArray[np.float32]

LOWEST_KNOT_HZ = 40.0
KNOTS = 9  # about one per octave at 16 kHz


def shaped_noise(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return Gaussian noise with a random smooth spectrum, half the time with a slowly moving level.

    The spectrum is a random tilt (+3 to -9 dB per octave) plus +-6 dB at octave knots: from hiss over rain and
    ventilation to traffic.
    """
    tilt_db = rng.uniform(-9.0, 3.0)
    knots_hz = np.geomspace(LOWEST_KNOT_HZ, sample_rate / 2, KNOTS)
    knots_db = tilt_db * np.arange(KNOTS) + rng.uniform(-6.0, 6.0, KNOTS)
    frequencies = np.fft.rfftfreq(samples, 1 / sample_rate)
    gain_db = np.interp(np.log(np.maximum(frequencies, LOWEST_KNOT_HZ)), np.log(knots_hz), knots_db)
    gain_db[frequencies < LOWEST_KNOT_HZ / 2] = -np.inf
    spectrum = rng.standard_normal(len(frequencies)) + 1j * rng.standard_normal(len(frequencies))
    noise = np.fft.irfft(spectrum * 10 ** (gain_db / 20), samples)
    if rng.random() < 0.5:
        noise *= _slow_level(samples, rng, sample_rate=sample_rate)
    return noise.astype(np.float32)


def _slow_level(samples: int, rng: np.random.Generator, *, sample_rate: int) -> NDArray[np.float64]:
    """Return a gain curve (T,) that wanders within +-6 dB, a few times a second at most."""
    points = max(2, int(samples / sample_rate * rng.uniform(0.5, 3.0)) + 2)
    level_db = np.interp(np.linspace(0, points - 1, samples), np.arange(points), rng.uniform(-6.0, 6.0, points))
    return np.asarray(10 ** (level_db / 20), dtype=np.float64)


def hum(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return mains hum: 50 or 60 Hz within 1 % and up to 12 harmonics of falling, random level."""
    fundamental_hz = rng.choice([50.0, 60.0]) * rng.uniform(0.99, 1.01)
    time_s = np.arange(samples) / sample_rate
    wav = np.zeros(samples)
    for harmonic in range(1, int(rng.integers(2, 13)) + 1):
        amplitude = rng.uniform(0.1, 1.0) / harmonic ** rng.uniform(0.5, 1.5)
        wav += amplitude * np.sin(2 * np.pi * (fundamental_hz * harmonic * time_s + rng.random()))
    return wav.astype(np.float32)


def crackle(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return the clicks of a worn record: 5 to 80 a second, heavy-tailed in level, each ringing for under 1 ms."""
    impulses = np.zeros(samples)
    count = rng.poisson(samples / sample_rate * rng.uniform(5.0, 80.0))
    positions = rng.integers(0, samples, count)
    impulses[positions] = rng.standard_t(2.0, count).clip(-20.0, 20.0)
    resonance_hz = rng.uniform(1000.0, 0.4 * sample_rate)
    radius = np.exp(-1.0 / (rng.uniform(1e-4, 6e-4) * sample_rate))
    poles = [1.0, -2 * radius * np.cos(2 * np.pi * resonance_hz / sample_rate), radius**2]
    return np.asarray(lfilter([1.0], poles, impulses), dtype=np.float32)


def record_noise(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return the noise of an old recording: hiss with any of crackle, hum and rumble, at random relative levels."""
    parts = [shaped_noise(samples, rng, sample_rate=sample_rate)]
    if rng.random() < 0.8:
        parts.append(crackle(samples, rng, sample_rate=sample_rate))
    if rng.random() < 0.6:
        parts.append(hum(samples, rng, sample_rate=sample_rate))
    mix = np.zeros(samples, dtype=np.float32)
    for part in parts:
        power = float(np.mean(np.square(part, dtype=np.float64)))
        if power > 0:
            mix += part * np.float32(10 ** (rng.uniform(-10.0, 10.0) / 20) / np.sqrt(power))
    return mix

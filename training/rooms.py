"""Rooms as impulse responses of their own making, where a corpus has none that fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

FIRST_REFLECTION_MS = (5.0, 30.0)
DECAY_60_DB = np.log(1000.0)


def draw_room(
    rng: np.random.Generator, *, channels: int, decay_s: float, level_db: float, sample_rate: int
) -> FloatArray:
    """Return an impulse response (C, T): the direct sound, 1 at once, then noise that decays by 60 dB in `decay_s`.

    `level_db` is the energy of the noise over that of the direct sound. The noise differs between the channels, which
    makes a room wide (Moorer, 1979).
    """
    samples = max(2, round(decay_s * sample_rate))
    start = min(samples - 1, max(1, round(rng.uniform(*FIRST_REFLECTION_MS) * 1e-3 * sample_rate)))
    decay = np.exp(-DECAY_60_DB * np.arange(samples) / samples)
    noise = rng.standard_normal((channels, samples)) * decay
    noise[:, :start] = 0
    noise *= 10 ** (level_db / 20) / np.linalg.norm(noise, axis=-1, keepdims=True)
    noise[:, 0] = 1
    return np.asarray(noise, dtype=np.float32)

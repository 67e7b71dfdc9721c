"""Levels of a signal taken while it streams by: peak, RMS and noise floor, in dBFS."""

from __future__ import annotations

import math

import numpy as np

from core.enhancement.protocol import FloatArray

FRAME_S = 0.05
"""Frames of the noise floor: short enough to fall between words."""
NOISE_FLOOR_QUANTILE = 0.10
"""The floor is the level that the quietest tenth of the frames stays under."""


class LevelMeter:
    """Feed blocks (C, T) of any size; one float per 50 ms is kept."""

    def __init__(self, sample_rate: int) -> None:
        self._frame_samples = max(round(sample_rate * FRAME_S), 1)
        self._peak = 0.0
        self._energy = 0.0
        self._samples = 0
        self._pending = np.zeros(0, dtype=np.float32)
        self._frame_powers: list[np.ndarray] = []

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T)."""
        if wav.size == 0:
            return
        self._peak = max(self._peak, float(np.abs(wav).max()))
        power = np.square(wav, dtype=np.float64)
        self._energy += float(power.sum())
        self._samples += wav.size
        pending = np.concatenate([self._pending, power.mean(axis=0, dtype=np.float64)])
        whole = len(pending) // self._frame_samples * self._frame_samples
        self._frame_powers.append(pending[:whole].reshape(-1, self._frame_samples).mean(axis=1))
        self._pending = pending[whole:]

    def result(self) -> dict[str, float | None]:
        """`peak_dbfs`, `rms_dbfs`, `noise_floor_dbfs`; None stands for digital silence, or for too short a signal."""
        frames = np.concatenate(self._frame_powers) if self._frame_powers else np.zeros(0)
        floor = float(np.quantile(frames, NOISE_FLOOR_QUANTILE)) if len(frames) else 0.0
        return {
            "peak_dbfs": _power_db(self._peak**2),
            "rms_dbfs": _power_db(self._energy / self._samples if self._samples else 0.0),
            "noise_floor_dbfs": _power_db(floor),
        }


def _power_db(power: float) -> float | None:
    return round(10 * math.log10(power), 2) if power > 0 else None

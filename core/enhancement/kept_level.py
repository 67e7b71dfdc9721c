"""The level of speech after a denoiser: networks that minimise an error return it weaker, the more the noise."""

from __future__ import annotations

import math

import numpy as np

from core.enhancement.protocol import FloatArray
from core.enhancement.scratch import ScratchSignal

LARGEST_GAIN_DB = 6.0
FULL_SHARE_DB = -12.0
"""Estimates of at least this level, against their recording, are taken at their word."""
NO_SHARE_DB = -18.0
"""Of what is this weak or weaker nobody can say whether it is speech or left-over noise: it keeps its level."""


class LevelFit:
    """Feed a recording and its estimate in blocks, ask `gain` at the end.

    The gain is that of least squares, the one at which the estimate explains most of the recording: <x, y> / <y, y>.
    What was taken away is noise, which speech does not resemble, so it has no part in the product: for an estimate
    y = a s of a recording x = s + n the gain is 1 / a. Where the network left noise behind, it is less than that.
    """

    def __init__(self) -> None:
        self._product = 0.0
        self._estimate_energy = 0.0
        self._recording_energy = 0.0

    def update(self, recording: FloatArray, estimate: FloatArray) -> None:
        """Take in blocks of any one shape; in float64, so that hours add up."""
        x, y = recording.ravel().astype(np.float64), estimate.ravel().astype(np.float64)
        self._product += float(x @ y)
        self._estimate_energy += float(y @ y)
        self._recording_energy += float(x @ x)

    @property
    def gain(self) -> float:
        """The gain for the whole estimate, 1 to 2 (6 dB)."""
        if self._product <= self._estimate_energy or self._estimate_energy <= 0 or self._recording_energy <= 0:
            return 1.0
        fitted_db = 20 * math.log10(self._product / self._estimate_energy)
        level_db = 10 * math.log10(self._estimate_energy / self._recording_energy)
        trust = min(max((level_db - NO_SHARE_DB) / (FULL_SHARE_DB - NO_SHARE_DB), 0.0), 1.0)
        return float(10 ** (trust * min(fitted_db, LARGEST_GAIN_DB) / 20))


def fit_level(recording: ScratchSignal, estimate: ScratchSignal) -> float:
    """Return the gain that brings the speech in `estimate` to its level in `recording`; both of one shape and rate.

    It is one for the whole recording and all channels: within it nothing moves up or down.
    """
    fit = LevelFit()
    for before, after in zip(recording.blocks(), estimate.blocks(), strict=True):
        fit.update(before, after)
    return fit.gain

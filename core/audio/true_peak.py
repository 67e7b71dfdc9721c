"""True peak by ITU-R BS.1770 annex 2: the largest value of the oversampled signal, so between the samples too."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from core.audio.types import FloatArray

OVERSAMPLING = 4
"""As annex 2 has it for 48 kHz; higher rates could do with less."""
TAPS = 16
"""Samples around each interpolated value; flat within 0.1 dB up to 0.4 of the sample rate."""
_MIDDLE = TAPS // 2 - 1
"""Place of the sample before the interpolated value."""
_KAISER_BETA = 5.0
_BLOCK_SAMPLES = 65_536


class TruePeakMeter:
    """Feed blocks (C, T) of any size; `result` is the true peak of all channels as an amplitude.

    Interpolates only where the result could exceed the peak so far. What is skipped cannot change the result, because
    a value between two samples is at most
    - the largest of the `TAPS` samples around it times the sum of the filter's magnitudes, and
    - the larger of the two plus what the filter adds to the straight line between them, which is a weighted sum of the
      differences between neighbours.
    """

    def __init__(self, channels: int) -> None:
        self._filters = interpolation_filters(OVERSAMPLING)
        self._overshoot = float(np.abs(self._filters).sum(axis=1).max())
        self._bend = _largest_bend(self._filters)
        self._history = np.zeros((channels, TAPS - 1), np.float32)
        self._peak = 0.0

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T)."""
        for start in range(0, wav.shape[-1], _BLOCK_SAMPLES):
            block = wav[:, start : start + _BLOCK_SAMPLES]
            joined = np.concatenate([self._history, block], axis=-1)
            self._peak = self._peak_of(joined, self._peak)
            self._history = joined[:, joined.shape[-1] - (TAPS - 1) :].copy()

    def result(self) -> float:
        """The true peak so far, the signal taken to be silent afterwards."""
        tail = np.pad(self._history, ((0, 0), (0, TAPS - 1)))
        return self._peak_of(tail, self._peak)

    def _peak_of(self, wav: FloatArray, peak: float) -> float:
        highest = np.maximum(wav.max(axis=-1), -wav.min(axis=-1))
        peak = max(peak, float(highest.max()))
        for channel, high in zip(wav, highest, strict=True):
            if high * self._overshoot > peak:
                peak = self._peak_between(channel, float(high), peak)
        return peak

    def _peak_between(self, wav: FloatArray, high: float, peak: float) -> float:
        """The larger of `peak` and what lies between the samples of `wav` (T,), whose largest magnitude is `high`."""
        steps = np.diff(wav)
        steepest = max(float(steps.max()), -float(steps.min()))
        by_bend, by_overshoot = peak - self._bend * steepest, peak / self._overshoot
        if high <= by_bend:
            return peak
        if by_bend > by_overshoot:
            windows = _windows_around(wav, by_bend, places=(_MIDDLE, _MIDDLE + 1))
        else:
            windows = _windows_around(wav, by_overshoot, places=range(TAPS))
        return max(peak, float(np.abs(windows @ self._filters.T).max(initial=0.0)))


def interpolation_filters(factor: int) -> FloatArray:
    """Filters (factor - 1, TAPS) for the values that lie 1/factor, 2/factor ... after the middle one of TAPS samples.

    A Kaiser-windowed sinc, each phase with a gain of 1 at 0 Hz. The samples themselves need no filter.
    """
    offsets = np.arange(1, factor)[:, None] / factor + _MIDDLE - np.arange(TAPS)
    window = np.i0(_KAISER_BETA * np.sqrt(1 - (offsets / (TAPS / 2)) ** 2)) / np.i0(_KAISER_BETA)
    filters = np.sinc(offsets) * window
    return np.asarray(filters / filters.sum(axis=1, keepdims=True), dtype=np.float32)


def _largest_bend(filters: FloatArray) -> float:
    """How far a value may lie off the straight line between the middle samples, in steps between neighbours.

    Filter and line have the same gain at 0 Hz. So their difference is a filter of the steps: its running sum.
    """
    fractions = np.arange(1, len(filters) + 1) / (len(filters) + 1)
    lines = np.zeros(filters.shape)
    lines[:, _MIDDLE], lines[:, _MIDDLE + 1] = 1 - fractions, fractions
    return float(np.abs(np.cumsum(filters - lines, axis=1)).sum(axis=1).max())


def _windows_around(wav: FloatArray, threshold: float, *, places: Iterable[int]) -> NDArray[np.float32]:
    """The windows (N, TAPS) of `wav` (T,) with a sample above `threshold` (>= 0) in magnitude in one of `places`."""
    loud = np.flatnonzero(np.abs(wav) > threshold)
    is_chosen = np.zeros(len(wav), dtype=bool)
    if len(loud):
        for place in places:
            is_chosen[np.maximum(loud - place, 0)] = True
    chosen = np.flatnonzero(is_chosen[: len(wav) - TAPS + 1])
    return sliding_window_view(wav, TAPS)[chosen]

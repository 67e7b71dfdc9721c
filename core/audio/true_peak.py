"""True peak by ITU-R BS.1770 annex 2: the largest value of the oversampled signal, so between the samples too."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from core.audio.types import FloatArray

OVERSAMPLING = 4
"""As annex 2 has it for 48 kHz; higher rates could do with less."""
TAPS = 16
"""Samples around each interpolated value; flat within 0.1 dB up to 0.4 of the sample rate."""
_KAISER_BETA = 5.0
_BLOCK_SAMPLES = 65_536


class TruePeakMeter:
    """Feed blocks (C, T) of any size; `result` is the true peak of all channels as an amplitude.

    Interpolates only where the result could exceed the peak so far: a value between samples is at most the largest of
    the samples around it times the sum of the filter's magnitudes. What is skipped cannot change the result.
    """

    def __init__(self, channels: int) -> None:
        self._filters = interpolation_filters(OVERSAMPLING)
        self._overshoot = float(np.abs(self._filters).sum(axis=1).max())
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
        peak = max(peak, float(wav.max(initial=0.0)), -float(wav.min(initial=0.0)))
        for channel in wav:
            windows = _windows_with_samples_above(channel, peak / self._overshoot)
            if len(windows):
                peak = max(peak, float(np.abs(windows @ self._filters.T).max()))
        return peak


def interpolation_filters(factor: int) -> FloatArray:
    """Filters (factor - 1, TAPS) for the values that lie 1/factor, 2/factor ... after the middle one of TAPS samples.

    A Kaiser-windowed sinc, each phase with a gain of 1 at 0 Hz. The samples themselves need no filter.
    """
    offsets = np.arange(1, factor)[:, None] / factor + TAPS // 2 - 1 - np.arange(TAPS)
    window = np.i0(_KAISER_BETA * np.sqrt(1 - (offsets / (TAPS / 2)) ** 2)) / np.i0(_KAISER_BETA)
    filters = np.sinc(offsets) * window
    return np.asarray(filters / filters.sum(axis=1, keepdims=True), dtype=np.float32)


def _windows_with_samples_above(wav: FloatArray, threshold: float) -> NDArray[np.float32]:
    """The windows (N, TAPS) of `wav` (T,) that hold a sample of larger magnitude than `threshold` (>= 0)."""
    loud = np.flatnonzero(np.abs(wav) > threshold)
    if not len(loud):
        return np.empty((0, TAPS), np.float32)
    holds_loud = np.zeros(len(wav), dtype=bool)
    for offset in range(TAPS):
        holds_loud[np.maximum(loud - offset, 0)] = True
    chosen = np.flatnonzero(holds_loud[: len(wav) - TAPS + 1])
    return sliding_window_view(wav, TAPS)[chosen]

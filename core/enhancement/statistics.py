"""The global figures of each group of channels that goes through an engine together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.enhancement.protocol import FloatArray, SignalStatistics


class StatisticsMeter:
    """Mean, unbiased standard deviation and peak of each group's mono mix, summed in float64 over all blocks (C, T)."""

    def __init__(self, groups: Sequence[tuple[int, ...]]) -> None:
        self._groups = groups
        self._samples = 0
        self._sums = np.zeros(len(groups))
        self._squares = np.zeros(len(groups))
        self._peaks = np.zeros(len(groups))

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T)."""
        self._samples += wav.shape[1]
        for index, group in enumerate(self._groups):
            mono = _mono(wav, group)
            self._sums[index] += mono.sum()
            self._squares[index] += mono @ mono
            self._peaks[index] = max(self._peaks[index], mono.max(initial=0.0), -mono.min(initial=0.0))

    def result(self) -> tuple[SignalStatistics, ...]:
        """The figures of all that was taken in, which must not be nothing."""
        means = self._sums / self._samples
        variances = np.maximum(self._squares - self._samples * means**2, 0.0) / max(self._samples - 1, 1)
        return tuple(
            SignalStatistics(samples=self._samples, mean=float(mean), std=math.sqrt(variance), peak=float(peak))
            for mean, variance, peak in zip(means, variances, self._peaks, strict=True)
        )


def _mono(wav: FloatArray, group: tuple[int, ...]) -> NDArray[np.float64]:
    """The mean (T,) of the channels of `group`."""
    if len(set(group)) == 1:  # the mean of one, or of one that is paired with itself, takes six times as long as a copy
        return np.asarray(wav[group[0]], dtype=np.float64)
    return np.asarray(wav[list(group)].mean(axis=0, dtype=np.float64))

"""The distribution of the powers of a signal's frames, in constant memory however long the signal is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

STEP_DB = 0.02
"""Width of a class: statistics are exact but for which side of a gate the frames of one class fall on."""
LOWEST_DB = -200.0
HIGHEST_DB = 40.0

_PENDING = 4096
"""Powers that wait to be sorted: a block of sound brings a dozen, and sorting costs the same for one as for many."""
_CLASSES = round((HIGHEST_DB - LOWEST_DB) / STEP_DB) + 2
_LOWEST_POWER = 10 ** (LOWEST_DB / 10)


class PowerHistogram:
    """Counts powers (linear, full scale 1) in classes of `STEP_DB` and keeps each class's sum, so that means are exact.

    Powers below `LOWEST_DB`, zero among them, share the first class, those above `HIGHEST_DB` the last.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_CLASSES, dtype=np.int64)
        self._sums = np.zeros(_CLASSES)
        self._pending = np.empty(_PENDING)
        self._waiting = 0

    def add(self, powers: NDArray[np.float64]) -> None:
        """Count `powers` (N,), none of them negative or NaN."""
        while powers.size:
            fresh = powers[: _PENDING - self._waiting]
            self._pending[self._waiting : self._waiting + fresh.size] = fresh
            self._waiting += fresh.size
            powers = powers[fresh.size :]
            if self._waiting == _PENDING:
                self._sort()

    def _sort(self) -> None:
        powers, self._waiting = self._pending[: self._waiting], 0
        levels_db = 10 * np.log10(np.maximum(powers, _LOWEST_POWER))
        classes = np.clip(np.ceil((levels_db - LOWEST_DB) / STEP_DB), 0, _CLASSES - 1).astype(np.int64)
        np.add.at(self._counts, classes, 1)
        np.add.at(self._sums, classes, powers)

    @property
    def count(self) -> int:
        """How many powers were counted."""
        return int(self._counts.sum()) + self._waiting

    def mean(self) -> float:
        """The mean power; 0 when nothing was counted."""
        self._sort()
        return float(self._sums.sum()) / max(self.count, 1)

    def above(self, power: float) -> PowerHistogram:
        """The part whose classes lie, by their mean, above `power`."""
        self._sort()
        part = PowerHistogram()
        chosen = self._sums > power * self._counts
        part._counts[chosen] = self._counts[chosen]
        part._sums[chosen] = self._sums[chosen]
        return part

    def quantile(self, fraction: float) -> float:
        """The power that `fraction` (0..1) of the frames do not exceed, within `STEP_DB`; 0 when nothing was counted.

        Nearest rank, as in EBU Tech 3342: element round((n - 1) * fraction) of the sorted n.
        """
        self._sort()
        if not self.count:
            return 0.0
        rank = math.floor((self.count - 1) * fraction + 0.5)
        chosen = int(np.searchsorted(np.cumsum(self._counts), rank, side="right"))
        return float(self._sums[chosen]) / int(self._counts[chosen])

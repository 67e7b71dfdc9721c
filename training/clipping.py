"""How large a gradient may be: a fixed norm, or a quantile of the norms that the run has seen so far."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

from training.recipe import OptimiserSection


class NormLimit:
    """The limit for the next step. A quantile of 1 clips to the largest norm so far; nothing is clipped at first.

    After Seetharaman et al., "AutoClip", 2020, but that a step does not count for its own limit.
    """

    def __init__(self, config: OptimiserSection) -> None:
        self._fixed = math.inf if config.clip_norm is None else config.clip_norm
        self._quantile = config.clip_quantile
        self._sorted: list[float] = []

    @property
    def value(self) -> float:
        """The largest norm that the next step may have."""
        if self._quantile is None:
            return self._fixed
        if not self._sorted:
            return math.inf
        return self._sorted[round(self._quantile * (len(self._sorted) - 1))]

    @property
    def norms(self) -> list[float]:
        """The norms seen so far, which are all that the limit depends on; [] for a fixed limit."""
        return list(self._sorted)

    def observe(self, norm: float) -> None:
        """Take in the norm, before clipping, of a step that was done."""
        if self._quantile is not None and math.isfinite(norm):
            bisect.insort(self._sorted, norm)

    def load(self, norms: Iterable[float]) -> None:
        """Restore `norms`."""
        self._sorted = sorted(norms)

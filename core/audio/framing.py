"""Cutting a stream into frames of equal length, whatever the blocks it comes in."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Sample = TypeVar("Sample", np.float32, np.float64)


class Framer(Generic[Sample]):
    """Collects blocks (C, T) of any size and hands them out in whole frames; holds less than one frame."""

    def __init__(self, frame_samples: int) -> None:
        if frame_samples < 1:
            raise ValueError(f"frame_samples ({frame_samples}) must be at least 1")
        self._frame_samples = frame_samples
        self._rest: NDArray[Sample] | None = None

    def push(self, wav: NDArray[Sample]) -> NDArray[Sample]:
        """Return the frames (C, N, `frame_samples`) that `wav` (C, T) completes, in order; N may be 0."""
        has_rest = self._rest is not None and self._rest.shape[-1] > 0
        joined = np.concatenate([self._rest, wav], axis=-1) if has_rest else wav
        whole = joined.shape[-1] - joined.shape[-1] % self._frame_samples
        self._rest = joined[:, whole:].copy()
        return joined[:, :whole].reshape(len(joined), -1, self._frame_samples)

    @property
    def rest(self) -> NDArray[Sample] | None:
        """The samples (C, T) since the last whole frame; None before the first block."""
        return self._rest

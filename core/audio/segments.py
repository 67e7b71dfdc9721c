"""Cutting a long signal into overlapping segments, and joining what an engine made of them without a seam.

Pure index arithmetic and weighted sums: nothing here knows of models, files or sample rates. With X =
`crossfade_samples` and boundary b between two segments, the left one is kept up to b + ceil(X / 2) and the right one
from b - floor(X / 2); inside that stretch two linear weights that sum to one (equal gain: both sides are estimates of
the same signal, so they are correlated) mix them. Everything else that was read is context and is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from core.audio.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class SegmentPlan:
    """How a long signal is cut for an engine; samples at the engine's rate.

    `segment_samples` are kept of each segment, `context_samples` are read on each side and thrown away, and neighbours
    are cross-faded over `crossfade_samples` (which lie inside the context). Segments start on multiples of
    `grid_samples`, so that an engine with a stride sees the same grid in every segment.

    Raises `ValueError` when the figures do not fit together: a cross-fade longer than a segment would touch three
    segments at once, and one wider than the context on either side would need samples that were not read.
    """

    segment_samples: int
    context_samples: int
    crossfade_samples: int
    grid_samples: int = 1

    def __post_init__(self) -> None:
        if self.segment_samples < 1 or self.grid_samples < 1:
            raise ValueError(
                f"segment_samples ({self.segment_samples}) and grid_samples ({self.grid_samples}) must be at least 1"
            )
        if self.context_samples < 0 or self.crossfade_samples < 0:
            raise ValueError(
                f"context_samples ({self.context_samples}) and crossfade_samples ({self.crossfade_samples}) "
                "must not be negative"
            )
        if self.crossfade_samples > self.segment_samples:
            raise ValueError(
                f"crossfade_samples ({self.crossfade_samples}) must not exceed segment_samples ({self.segment_samples})"
            )
        if self.fade_after_samples > self.context_samples:
            raise ValueError(
                f"half of crossfade_samples ({self.crossfade_samples}) must lie inside "
                f"context_samples ({self.context_samples})"
            )

    @property
    def fade_before_samples(self) -> int:
        """The part of the cross-fade that lies before the boundary."""
        return self.crossfade_samples // 2

    @property
    def fade_after_samples(self) -> int:
        """The part of the cross-fade that lies after the boundary."""
        return self.crossfade_samples - self.fade_before_samples


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One stretch of the signal, in samples from its start.

    [`start`, `stop`) is kept, its cross-fades included; [`read_start`, `read_stop`) is what the engine is given: the
    same with context, clipped to the signal. `fade_in` and `fade_out` are the lengths of the cross-fades at its ends,
    0 at the ends of the signal.
    """

    index: int
    start: int
    stop: int
    read_start: int
    read_stop: int
    fade_in: int
    fade_out: int


def count_segments(total_samples: int, plan: SegmentPlan) -> int:
    """Return how many segments `split_segments` yields.

    A remainder that lies wholly in the last cross-fade gets no segment of its own: the one before covers it.
    """
    if total_samples < 0:
        raise ValueError(f"total_samples ({total_samples}) must not be negative")
    if total_samples == 0:
        return 0
    return max(1, -(-(total_samples - plan.fade_after_samples) // plan.segment_samples))


def split_segments(total_samples: int, plan: SegmentPlan) -> Iterator[Segment]:
    """Yield the segments that cover [0, total_samples) in order; none for an empty signal.

    `read_start` is always a multiple of `plan.grid_samples`: rounded down, so up to one grid step more is read.
    """
    count = count_segments(total_samples, plan)
    for index in range(count):
        is_first, is_last = index == 0, index == count - 1
        left = index * plan.segment_samples
        right = total_samples if is_last else left + plan.segment_samples
        read_start = max(0, left - plan.context_samples)
        yield Segment(
            index=index,
            start=left if is_first else left - plan.fade_before_samples,
            stop=right if is_last else right + plan.fade_after_samples,
            read_start=read_start - read_start % plan.grid_samples,
            read_stop=min(total_samples, right + plan.context_samples),
            fade_in=0 if is_first else plan.crossfade_samples,
            fade_out=0 if is_last else plan.crossfade_samples,
        )


def fade_in_weights(length: int) -> FloatArray:
    """Return the rising half (length,) of an equal-gain linear cross-fade; reversed it is exactly 1 minus itself.

    Weights sit at the middle of their samples, so that neither end wastes a sample on exactly 0 or 1.
    """
    return ((np.arange(length) + 0.5) / max(length, 1)).astype(np.float32)


class SegmentJoiner:
    """Puts the estimates of consecutive segments together; holds one cross-fade at most.

    Feed every segment of `split_segments` once, in order. Arrays are (..., T): (C, T), (S, C, T) and so on.
    """

    def __init__(self) -> None:
        self._position = 0
        self._tail: FloatArray | None = None

    @property
    def position(self) -> int:
        """Samples that are finished and have been returned."""
        return self._position

    def add(self, segment: Segment, estimate: FloatArray) -> FloatArray:
        """Return the samples (..., T') that this segment finishes; they follow those of the call before.

        `estimate` covers [segment.read_start, segment.read_stop). Raises `ValueError` when its length is another one or
        when a segment is missing or comes twice.
        """
        read_samples = segment.read_stop - segment.read_start
        if estimate.shape[-1] != read_samples:
            raise ValueError(
                f"segment {segment.index} reads {read_samples} samples, its estimate has {estimate.shape[-1]}"
            )
        if segment.start != self._position:
            raise ValueError(f"segment {segment.index} starts at sample {segment.start}, expected {self._position}")
        payload = estimate[..., segment.start - segment.read_start : segment.stop - segment.read_start]
        finished = payload[..., : payload.shape[-1] - segment.fade_out].copy()
        if self._tail is not None:
            finished[..., : segment.fade_in] *= fade_in_weights(segment.fade_in)
            finished[..., : segment.fade_in] += self._tail
        # A copy, so that the whole estimate is not kept alive by a view of its end.
        tail = payload[..., payload.shape[-1] - segment.fade_out :] * fade_in_weights(segment.fade_out)[::-1]
        self._tail = tail if segment.fade_out else None
        self._position += finished.shape[-1]
        return finished


def overlap_add(estimates: Iterable[tuple[Segment, FloatArray]]) -> Iterator[FloatArray]:
    """Yield the joined signal in order, block by block, from (segment, estimate) pairs in order."""
    joiner = SegmentJoiner()
    for segment, estimate in estimates:
        yield joiner.add(segment, estimate)

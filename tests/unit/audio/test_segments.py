"""Segments: exact cover, grid, and joins that cannot be heard."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from core.audio.segments import SegmentJoiner, SegmentPlan, count_segments, overlap_add, split_segments
from core.audio.types import FloatArray

PLANS = [
    SegmentPlan(segment_samples=1000, context_samples=300, crossfade_samples=100),
    SegmentPlan(segment_samples=1000, context_samples=300, crossfade_samples=101, grid_samples=64),
    SegmentPlan(segment_samples=512, context_samples=512, crossfade_samples=512, grid_samples=256),
    SegmentPlan(segment_samples=7, context_samples=0, crossfade_samples=0),
    SegmentPlan(segment_samples=1, context_samples=2, crossfade_samples=1),
]


def lengths(plan: SegmentPlan) -> list[int]:
    """Every length near a boundary of the first three segments, and some at random beyond."""
    near = {k * plan.segment_samples + d for k in range(4) for d in range(-3, 4)}
    near |= {k * plan.segment_samples + s * plan.crossfade_samples for k in range(3) for s in (-1, 1)}
    drawn = np.random.default_rng(7).integers(1, 6 * plan.segment_samples + 2, 40).tolist()
    return sorted({n for n in near | set(drawn) if n > 0} | {1, 2})


def noise(shape: tuple[int, ...]) -> FloatArray:
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("plan", PLANS)
def test_identity_engine_nulls_below_minus_120_dbfs_at_every_length(plan: SegmentPlan) -> None:
    for total in lengths(plan):
        wav = noise((2, total))

        pairs = ((s, wav[None, :, s.read_start : s.read_stop]) for s in split_segments(total, plan))
        joined = np.concatenate(list(overlap_add(pairs)), axis=-1)

        assert joined.shape == (1, 2, total)
        assert joined.dtype == np.float32
        assert np.abs(joined[0] - wav).max() < 1e-6, total


@pytest.mark.parametrize("plan", PLANS)
def test_reads_start_on_the_grid_and_hold_the_context(plan: SegmentPlan) -> None:
    for total in lengths(plan):
        segments = list(split_segments(total, plan))

        assert len(segments) == count_segments(total, plan)
        assert segments[0].start == 0
        assert segments[-1].stop == total
        for segment in segments:
            assert segment.read_start % plan.grid_samples == 0
            assert 0 <= segment.read_start <= segment.start < segment.stop <= segment.read_stop <= total
            unfaded = plan.context_samples - plan.fade_after_samples
            assert segment.read_start == 0 or segment.start - segment.read_start >= unfaded
            assert segment.read_stop == total or segment.read_stop - segment.stop == unfaded


def test_neighbours_overlap_by_exactly_the_crossfade() -> None:
    plan = PLANS[1]

    segments = list(split_segments(3500, plan))

    assert [left.stop - right.start for left, right in itertools.pairwise(segments)] == [101] * 3


def test_crossfade_ramps_linearly_from_one_segment_to_the_next() -> None:
    plan = SegmentPlan(segment_samples=100, context_samples=20, crossfade_samples=10)
    pairs = (
        (s, np.full((1, 1, s.read_stop - s.read_start), float(s.index), np.float32)) for s in split_segments(200, plan)
    )

    joined = np.concatenate(list(overlap_add(pairs)), axis=-1)[0, 0]

    assert np.all(joined[:95] == 0)
    assert np.allclose(joined[95:105], (np.arange(10) + 0.5) / 10)
    assert np.all(joined[105:] == 1)


def test_context_never_reaches_the_output() -> None:
    plan = SegmentPlan(segment_samples=100, context_samples=20, crossfade_samples=10)
    pairs = []
    for segment in split_segments(350, plan):
        estimate = np.full((1, segment.read_stop - segment.read_start), np.nan, np.float32)
        estimate[:, segment.start - segment.read_start : segment.stop - segment.read_start] = 1.0
        pairs.append((segment, estimate))

    joined = np.concatenate(list(overlap_add(pairs)), axis=-1)

    assert np.allclose(joined, 1.0, atol=1e-6)


def test_joiner_holds_no_more_than_the_crossfade() -> None:
    plan = PLANS[0]
    joiner = SegmentJoiner()
    emitted = 0
    for segment in split_segments(5_000, plan):
        emitted += joiner.add(segment, noise((1, segment.read_stop - segment.read_start))).shape[-1]

        assert segment.stop - emitted <= plan.crossfade_samples
        assert joiner.position == emitted


def test_empty_signal_has_no_segments() -> None:
    assert list(split_segments(0, PLANS[0])) == []


def test_estimate_of_another_length_is_refused() -> None:
    (segment,) = split_segments(500, PLANS[0])

    with pytest.raises(ValueError, match="reads 500 samples, its estimate has 499"):
        SegmentJoiner().add(segment, noise((1, 499)))


def test_missing_segment_is_refused() -> None:
    segments = list(split_segments(3_000, PLANS[0]))

    with pytest.raises(ValueError, match="expected 0"):
        SegmentJoiner().add(segments[1], noise((1, segments[1].read_stop - segments[1].read_start)))


@pytest.mark.parametrize(
    ("segment", "context", "crossfade", "grid"),
    [(0, 0, 0, 1), (10, -1, 0, 1), (10, 20, 11, 1), (100, 4, 10, 1), (10, 0, 0, 0), (10, 5, -2, 1)],
)
def test_plan_that_does_not_fit_together_is_refused(segment: int, context: int, crossfade: int, grid: int) -> None:
    with pytest.raises(ValueError, match="samples"):
        SegmentPlan(segment_samples=segment, context_samples=context, crossfade_samples=crossfade, grid_samples=grid)

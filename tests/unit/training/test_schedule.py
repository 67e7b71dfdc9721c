"""Learning-rate schedules at their corner points."""

from __future__ import annotations

import pytest

from training.recipe import OptimiserSection
from training.schedule import learning_rate_factor


def factor(step: int, config: OptimiserSection, *, total: int = 100) -> float:
    return learning_rate_factor(step, total_steps=total, config=config)


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    config = OptimiserSection(schedule="constant", warmup_steps=4)

    assert [factor(step, config) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_passes_half_in_the_middle_and_ends_at_zero() -> None:
    config = OptimiserSection(schedule="cosine", warmup_steps=20)

    assert factor(20, config) == 1.0
    assert factor(60, config) == pytest.approx(0.5)
    assert factor(100, config) == pytest.approx(0.0)


def test_step_schedule_multiplies_at_every_step() -> None:
    config = OptimiserSection(schedule="step", step_every=10, step_gamma=0.5)

    assert [factor(step, config) for step in (0, 9, 10, 25)] == [1.0, 1.0, 0.5, 0.25]


def test_hold_decay_holds_then_falls_linearly() -> None:
    config = OptimiserSection(schedule="hold-decay", decay_fraction=0.4)

    assert [factor(step, config) for step in (0, 60, 80, 100)] == pytest.approx([1.0, 1.0, 0.5, 0.0])


def test_held_part_does_not_depend_on_the_length_of_the_run() -> None:
    config = OptimiserSection(schedule="hold-decay", decay_fraction=0.4)

    assert [factor(step, config, total=100) for step in range(60)] == [
        factor(step, config, total=500) for step in range(60)
    ]

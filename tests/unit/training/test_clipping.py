"""The limit of a gradient's norm: fixed, or a quantile of what came before."""

from __future__ import annotations

import math

import pytest

from training.clipping import NormLimit
from training.recipe import OptimiserSection


def limit_after(norms: list[float], **settings: float | None) -> float:
    limit = NormLimit(OptimiserSection(**settings))  # type: ignore[arg-type]
    for norm in norms:
        limit.observe(norm)
    return limit.value


def test_fixed_limit_stays_what_it_is() -> None:
    assert limit_after([1.0, 100.0], clip_norm=5.0) == 5.0
    assert limit_after([1.0, 100.0], clip_norm=None) == math.inf


@pytest.mark.parametrize(("quantile", "expected"), [(1.0, 9.0), (0.5, 3.0), (0.0, 1.0)])
def test_quantile_is_of_the_norms_so_far(quantile: float, expected: float) -> None:
    assert limit_after([9.0, 1.0, 3.0, 2.0, 4.0], clip_quantile=quantile) == expected


def test_nothing_is_clipped_before_there_is_a_norm() -> None:
    assert limit_after([], clip_quantile=1.0) == math.inf


def test_norm_that_is_no_number_does_not_count() -> None:
    assert limit_after([2.0, math.nan, math.inf], clip_quantile=1.0) == 2.0


def test_restored_limit_goes_on_as_the_other() -> None:
    config = OptimiserSection(clip_quantile=0.5)
    first, second = NormLimit(config), NormLimit(config)
    for norm in (5.0, 1.0, 3.0):
        first.observe(norm)

    second.load(first.norms)

    for limit in (first, second):
        limit.observe(7.0)
        limit.observe(8.0)
    assert second.value == first.value == 5.0

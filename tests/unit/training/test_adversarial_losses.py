"""The losses of the adversarial stages: their fixed points, directions and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.models.finally_speech.discriminator import Judgement, MultiScaleDiscriminator
from training.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from training.losses.lmos import decimate, feature_distance


def judgement(logit: float, feature: float = 1.0) -> Judgement:
    return Judgement(torch.full((1, 1, 4, 4), logit), (torch.full((1, 2, 4, 4), feature),))


def tone(frequency_hz: float, *, rate: int, samples: int) -> Tensor:
    return torch.sin(2 * math.pi * frequency_hz * torch.arange(samples) / rate).unsqueeze(0)


def noise(seed: int, samples: int = 4096) -> Tensor:
    return torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))


def energies(wav: Tensor) -> Tensor:
    return wav.unfold(-1, 320, 320).square().mean(-1)


def test_a_perfect_discriminator_loses_nothing() -> None:
    assert float(discriminator_loss([judgement(1.0)] * 2, [judgement(0.0)] * 2)) == 0


def test_a_discriminator_that_cannot_tell_loses_half_at_each_scale() -> None:
    assert float(discriminator_loss([judgement(0.5)] * 3, [judgement(0.5)] * 3)) == pytest.approx(1.5)


@pytest.mark.parametrize(("logit", "expected"), [(1.0, 0.0), (0.0, 2.0), (-1.0, 8.0)])
def test_a_generator_loses_the_square_of_what_is_missing_to_one(logit: float, expected: float) -> None:
    assert float(generator_loss([judgement(logit)] * 2)) == pytest.approx(expected)


def test_feature_matching_is_relative_to_the_clean_features() -> None:
    small = feature_matching_loss([judgement(0, 0.1)], [judgement(0, 0.11)])
    large = feature_matching_loss([judgement(0, 10.0)], [judgement(0, 11.0)])

    assert float(small) == pytest.approx(0.1, rel=1e-4)
    assert float(large) == pytest.approx(0.1, rel=1e-4)


def test_gradients_reach_the_estimate_and_not_the_clean_signal() -> None:
    judges = MultiScaleDiscriminator((256, 128))
    clean, estimate = noise(1).unsqueeze(1).requires_grad_(), noise(2).unsqueeze(1).requires_grad_()

    feature_matching_loss(judges(clean), judges(estimate)).backward()

    assert clean.grad is None or not clean.grad.any()
    assert estimate.grad is not None
    assert estimate.grad.any()


def test_feature_distance_of_equal_signals_is_zero_and_grows_with_the_difference() -> None:
    clean = noise(1)

    losses = [float(feature_distance(clean + level * noise(2), clean, features=energies)) for level in (0.0, 0.1, 0.5)]

    assert losses[0] == 0
    assert losses[0] < losses[1] < losses[2]


def test_gradient_of_the_feature_distance_reaches_the_estimate_alone() -> None:
    estimate, clean = noise(2).requires_grad_(), noise(1).requires_grad_()

    feature_distance(estimate, clean, features=energies).backward()

    assert clean.grad is None
    assert estimate.grad is not None
    assert estimate.grad.any()


@pytest.mark.parametrize(
    ("frequency_hz", "is_kept"), [(1000.0, True), (7000.0, True), (9500.0, False), (20000.0, False)]
)
def test_decimation_keeps_what_the_lower_rate_can_hold_and_nothing_else(frequency_hz: float, is_kept: bool) -> None:
    low = decimate(tone(frequency_hz, rate=48_000, samples=12_000), 3)

    assert low.shape == (1, 4000)
    middle = low[0, 500:-500]
    if is_kept:
        assert middle == pytest.approx(tone(frequency_hz, rate=16_000, samples=4000)[0, 500:-500], abs=0.01)
    else:
        assert middle.abs().max() < 0.01

"""The discriminators beside a network: they learn, they judge, and only the network's estimate feels it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from training.adversary import Adversary
from training.recipe import AdversarySection, OptimiserSection

SAMPLES = 2048


def make_adversary(**settings: object) -> Adversary:
    torch.manual_seed(0)
    steady = OptimiserSection(learning_rate=2e-3, betas=(0.5, 0.999), schedule="constant")
    values = {"scales": (256, 128), "width": 4, "optimiser": steady, **settings}
    return Adversary(AdversarySection.model_validate(values))


def pair(seed: int = 0, *, samples: int = SAMPLES) -> tuple[Tensor, Tensor]:
    """Return noise as the estimate, a tone as the clean signal, (2, T) each."""
    noise = torch.randn(2, samples, generator=torch.Generator().manual_seed(seed))
    return 0.3 * noise, torch.sin(0.3 * torch.arange(samples)).expand(2, -1)


def test_discriminators_learn_to_tell_the_clean_signal_from_the_estimate() -> None:
    adversary = make_adversary()

    losses = []
    for step in range(15):
        adversary.learn([pair()], step=step, total_steps=100)
        losses.append(adversary.last_loss)

    assert losses[-1] < 0.5 * losses[0]


def test_each_step_does_the_updates_that_the_recipe_asks_for() -> None:
    steps = {}
    for updates in (1, 2):
        adversary = make_adversary(updates=updates)
        adversary.learn([pair()], step=0, total_steps=100)
        first = next(iter(adversary.state()["optimiser"]["state"].values()))
        steps[updates] = int(first["step"])

    assert steps == {1: 1, 2: 2}


def test_parts_of_a_batch_teach_as_the_whole_does() -> None:
    whole, parts = make_adversary(), make_adversary()
    estimate, clean = pair()

    whole.learn([(estimate, clean)], step=0, total_steps=100)
    parts.learn([(estimate[:1], clean[:1]), (estimate[1:], clean[1:])], step=0, total_steps=100)

    for one, other in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_judgement_moves_the_estimate_and_leaves_the_discriminators_alone() -> None:
    adversary = make_adversary()
    estimate, clean = pair()
    estimate = estimate.requires_grad_()

    adversary.judge(estimate, clean).backward()

    assert estimate.grad is not None
    assert estimate.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in adversary.network.parameters())
    assert all(parameter.requires_grad for parameter in adversary.network.parameters())


def test_clean_signal_costs_no_feature_matching() -> None:
    adversary = make_adversary(generator_weight=0.0, feature_weight=3.0)
    estimate, clean = pair()

    assert float(adversary.judge(clean, clean)) == 0
    assert float(adversary.judge(estimate, clean)) > 0


def test_weights_scale_the_two_terms() -> None:
    estimate, clean = pair()

    fooled, matched, both = (
        float(make_adversary(generator_weight=a, feature_weight=b).judge(estimate, clean))
        for a, b in ((1.0, 0.0), (0.0, 1.0), (0.4, 20.0))
    )

    assert abs(both - (0.4 * fooled + 20 * matched)) < 1e-4 * both


def test_crop_is_of_the_same_place_in_both_signals() -> None:
    adversary = make_adversary(crop_samples=1024, generator_weight=0.0, feature_weight=1.0)
    _, clean = pair(samples=8192)
    clean = clean * torch.linspace(0, 1, 8192)

    assert float(adversary.judge(clean, clean)) == 0


def test_restored_adversary_learns_on_as_the_other() -> None:
    first, second = make_adversary(), make_adversary()
    for step in range(3):
        first.learn([pair(step)], step=step, total_steps=100)

    second.load_state(copy.deepcopy(first.state()))

    for adversary in (first, second):
        adversary.learn([pair(9)], step=3, total_steps=100)
    assert second.last_loss == first.last_loss
    assert float(second.judge(*pair(8))) == float(first.judge(*pair(8)))

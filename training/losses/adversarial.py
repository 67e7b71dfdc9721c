"""Adversarial losses on the judgements of several discriminators: least squares, and matching of their features.

Mao et al., "Least squares generative adversarial networks", 2017; Kumar et al., "MelGAN", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.models.finally_speech.discriminator import Judgement

FEATURE_FLOOR = 1e-8


def discriminator_loss(of_clean: Sequence[Judgement], of_estimate: Sequence[Judgement]) -> Tensor:
    """Return the sum over scales of MSE(clean, 1) + MSE(estimate, 0). Detach the estimate before it is judged."""
    losses = [
        (clean.logits.float() - 1).square().mean() + estimate.logits.float().square().mean()
        for clean, estimate in zip(of_clean, of_estimate, strict=True)
    ]
    return torch.stack(losses).sum()


def generator_loss(of_estimate: Sequence[Judgement]) -> Tensor:
    """Return the sum over scales of MSE(estimate, 1)."""
    return torch.stack([(estimate.logits.float() - 1).square().mean() for estimate in of_estimate]).sum()


def feature_matching_loss(of_clean: Sequence[Judgement], of_estimate: Sequence[Judgement]) -> Tensor:
    """Return the mean over scales and maps of mean|clean - estimate| / mean|clean|; 0 for equal signals."""
    distances = [
        (clean.detach() - estimate).abs().mean(dtype=torch.float32)
        / (clean.detach().abs().mean(dtype=torch.float32) + FEATURE_FLOOR)
        for judged_clean, judged_estimate in zip(of_clean, of_estimate, strict=True)
        for clean, estimate in zip(judged_clean.maps, judged_estimate.maps, strict=True)
    ]
    return torch.stack(distances).mean()

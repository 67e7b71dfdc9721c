"""Learned judges of speech as losses of the third stage: UTMOS and PESQ, each from a package that is not ours."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor

from core.errors import InvalidOptions
from training.generation.recipe import INPUT_RATE

QUALITY_GROUP = "limpid.speech_quality"
"""Entry points of this group make a `SpeechQuality` when they are called with the device."""
PESQ_FACTOR = 0.5  # of torch_pesq: what its symmetric and asymmetric disturbances weigh


class SpeechQuality(Protocol):
    """Judges waves without a reference, as people would."""

    def __call__(self, wav: Tensor) -> Tensor:
        """Return the opinion scores (B,), 1 to 5, of (B, T) at 16 kHz; differentiable in the wave."""
        ...


def open_utmos(device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss -UTMOS of an estimate; InvalidOptions where no package offers `utmos`."""
    found = entry_points(group=QUALITY_GROUP, name="utmos")
    if not found:
        raise InvalidOptions(
            f"The loss 'utmos' needs a package that offers the entry point utmos in the group {QUALITY_GROUP}; "
            "none is installed. Leave losses.utmos out, or see docs/training.md for how to add one"
        )
    judge: SpeechQuality = next(iter(found)).load()(device)

    def loss(estimate: Tensor, clean: Tensor) -> Tensor:
        return -judge(estimate).mean()

    return loss


def open_pesq(device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the differentiable PESQ disturbance; InvalidOptions where `torch_pesq` is not installed."""
    if find_spec("torch_pesq") is None:
        raise InvalidOptions("The loss 'pesq' needs a package: pip install torch-pesq, or leave losses.pesq out")
    judge = import_module("torch_pesq").PesqLoss(PESQ_FACTOR, sample_rate=INPUT_RATE).to(device)

    def loss(estimate: Tensor, clean: Tensor) -> Tensor:
        disturbance: Tensor = judge(clean, estimate)
        return disturbance.mean()

    return loss

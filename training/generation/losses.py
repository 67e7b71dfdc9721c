"""The regression losses of a generator: LMOS in its two terms, judges of speech, and those of every recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from core.errors import InvalidOptions
from training.generation.features import FeatureMap, open_compared
from training.generation.quality import open_pesq, open_utmos
from training.generation.recipe import INPUT_RATE, GenerationRecipe
from training.losses.combined import LOSSES, OPINION, SPEECH_RATE_LOSSES, Loss
from training.losses.lmos import decimate, feature_distance, magnitude_distance
from training.losses.opinion import opinion_loss


def build_generation_loss(recipe: GenerationRecipe, *, device: torch.device) -> Loss:
    """Return the sum of the recipe's losses times their weights, for (B, T) at the output rate.

    `speech_features` and `magnitude` are the terms of LMOS, 100 and 1 in its first stage; `utmos` and `pesq` need
    packages. What is made for 16 kHz hears the output resampled. InvalidOptions for an unknown name.
    """
    special: Mapping[str, Callable[[], Loss]] = {
        "speech_features": lambda: _of_features(open_compared(recipe.features, device=device)),
        "utmos": lambda: open_utmos(device),
        "pesq": lambda: open_pesq(device),
        OPINION: lambda: partial(opinion_loss, waves=recipe.opinion_waves),
    }
    at_output_rate: Mapping[str, Loss] = {
        "magnitude": magnitude_distance,
        **{name: loss for name, loss in LOSSES.items() if name not in SPEECH_RATE_LOSSES},
    }
    at_input_rate = {name: loss for name, loss in LOSSES.items() if name in SPEECH_RATE_LOSSES}
    unknown = sorted(recipe.losses.keys() - special.keys() - at_output_rate.keys() - at_input_rate.keys())
    if unknown:
        known = ", ".join([*special, *at_output_rate, *sorted(at_input_rate)])
        raise InvalidOptions(f"Unknown losses {unknown}; known are {known}")
    terms: list[tuple[float, Loss]] = []
    for name, weight in recipe.losses.items():
        if name in at_output_rate:
            terms.append((weight, at_output_rate[name]))
        else:
            loss = special[name]() if name in special else at_input_rate[name]
            terms.append((weight, partial(_at_input_rate, loss=loss, factor=recipe.system.sample_rate // INPUT_RATE)))

    def combined(estimate: Tensor, clean: Tensor) -> Tensor:
        return torch.stack([weight * loss(estimate, clean) for weight, loss in terms]).sum()

    return combined


def _of_features(features: FeatureMap) -> Loss:
    return partial(feature_distance, features=features)


def _at_input_rate(estimate: Tensor, clean: Tensor, *, loss: Loss, factor: int) -> Tensor:
    if factor == 1:
        return loss(estimate, clean)
    return loss(decimate(estimate, factor), decimate(clean, factor))

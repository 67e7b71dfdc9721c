"""The generators that can be trained, how a batch passes through one, and from which weights one may start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from core.enhancement.band_split_lstm import ARCHITECTURE as DENOISER_ARCHITECTURE
from core.errors import InvalidOptions
from core.models.band_split_generator import ARCHITECTURE as SMALL_ARCHITECTURE
from core.models.band_split_generator import BandSplitGenerator
from core.models.checkpoints import load_checkpoint, read_card
from core.models.finally_speech.generator import FinallyGenerator, SpeechFeatures
from core.models.finally_speech.released import ARCHITECTURE as FINALLY_ARCHITECTURE
from training.generation.recipe import GeneratorSection

GENERATORS: Mapping[str, Callable[..., nn.Module]] = {
    FINALLY_ARCHITECTURE: FinallyGenerator.from_arguments,
    SMALL_ARCHITECTURE: BandSplitGenerator,
}
NEW_IN_48K = "upsample_wave_unet."
"""What a generator at 48 kHz has beside one at 16 kHz."""


def build_generator(system: GeneratorSection, *, features: SpeechFeatures | None) -> nn.Module:
    """Return the freshly initialised network; InvalidOptions where the recipe does not fit it."""
    arguments = dict(system.arguments)
    if system.architecture == FINALLY_ARCHITECTURE:
        if features is None:
            raise InvalidOptions("features.heard must be mel or wavlm: FINALLY's generator hears speech features")
        arguments |= {"output_rate": system.sample_rate, "feature_width": features.width}
    elif features is not None or system.sample_rate != 16_000:
        raise InvalidOptions(f"A {system.architecture!r} works at 16 kHz and hears no features (features.heard=none)")
    try:
        return GENERATORS[system.architecture](**arguments)
    except (TypeError, ValueError) as error:
        raise InvalidOptions(f"The arguments of {system.architecture!r} do not fit: {error}") from error


def fit_to_start(system: GeneratorSection, initial: Path | None) -> GeneratorSection:
    """Return `system` with the denoiser of the weights to start from, where it holds one and does not say which."""
    if initial is None or system.architecture != SMALL_ARCHITECTURE or "denoiser" in system.arguments:
        return system
    card = read_card(initial)
    denoiser = card.arguments if card.architecture == DENOISER_ARCHITECTURE else card.arguments.get("denoiser", {})
    return system.model_copy(update={"arguments": {**system.arguments, "denoiser": dict(denoiser)}})


def card_arguments(network: nn.Module, system: GeneratorSection) -> dict[str, object]:
    """Return what a checkpoint's card must hold to build the network again."""
    if not isinstance(network, FinallyGenerator):
        return dict(system.arguments)
    return {**system.arguments, "output_rate": system.sample_rate, "feature_width": network.feature_width}


def make_forward(features: SpeechFeatures | None) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return what passes inputs (B, T) through a generator, with what it hears beside them; (B, T) or (B, 3 T)."""

    def forward(network: nn.Module, noisy: Tensor) -> Tensor:
        noisy = noisy.to(next(network.parameters()).device)
        if features is None:
            estimate: Tensor = network(noisy)
            return estimate
        with torch.no_grad():
            heard = features(noisy)
        generated: Tensor = network(noisy.unsqueeze(1), heard)
        return generated.squeeze(1)

    return forward


def load_start(network: nn.Module, path: Path) -> None:
    """Load the weights that a run starts from: of the same network, or of the stage before it.

    A generator at 48 kHz takes those of one at 16 kHz, its upsampler stays new; a band-split generator takes those of
    its denoiser alone, a `band-split-lstm`. InvalidOptions, naming what is missing, for any others.
    """
    card, state = load_checkpoint(path)
    if isinstance(network, BandSplitGenerator) and card.architecture == DENOISER_ARCHITECTURE:
        state = network.state_dict() | {f"denoiser.{key}": value for key, value in state.items()}
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # equal names, other shapes
        raise InvalidOptions(f"The weights {path.name!r} do not fit the recipe's network: {error}") from error
    unfit = [key for key in missing if not key.startswith(NEW_IN_48K)] + unexpected
    if unfit:
        raise InvalidOptions(f"The weights {path.name!r} do not fit the recipe's network: {unfit[0]!r}")
    if missing and any(key.startswith(NEW_IN_48K) for key in state):
        raise InvalidOptions(f"The weights {path.name!r} hold only a part of the upsampler: {missing[0]!r} is missing")

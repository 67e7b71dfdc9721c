"""Layers that the loss compares: one of WavLM's, or log-mel frames. All are differentiable in the wave."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from core.models.finally_speech.features import MelFeatures, WavLmFeatures, load_features
from core.models.finally_speech.generator import SpeechFeatures
from training.generation.recipe import FeatureSection, WavLmLayer

if TYPE_CHECKING:
    from transformers import WavLMModel

FeatureMap = Callable[[Tensor], Tensor]
"""Takes waves (B, T) at 16 kHz, returns features of any shape."""


class WavLmLayerFeatures(nn.Module):
    """One layer of a frozen WavLM, of which the model given keeps no later one. The gradient reaches the wave.

    The published loss takes `conv`, the convolutional encoder, which at times lets a phoneme change; what comes after
    its projection (`projected`) and the first transformer layer (`transformer_1`) leave artefacts in the spectrum.
    """

    def __init__(self, model: WavLMModel, layer: WavLmLayer) -> None:
        super().__init__()
        model = model.eval().requires_grad_(False)
        self.layer = layer
        self.convolutions = model.feature_extractor
        self.projection = model.feature_projection
        model.encoder.layers = model.encoder.layers[:1]
        self.encoder = model.encoder
        # What the encoder returns is normalised once more in WavLM-large, and not in smaller ones.
        self.encoder.layers[0].register_forward_hook(self._keep)
        self._first_layer: Tensor | None = None

    def forward(self, wav: Tensor) -> Tensor:
        encoded: Tensor = self.convolutions(wav)
        if self.layer == "conv":
            return encoded
        projected: Tensor = self.projection(encoded.transpose(1, 2))[0]
        if self.layer == "projected":
            return projected
        self.encoder(projected)
        kept, self._first_layer = self._first_layer, None
        if kept is None:
            raise RuntimeError("WavLM's first layer did not run")
        return kept

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        self._first_layer = output[0] if isinstance(output, tuple) else output


def open_heard(config: FeatureSection, *, device: torch.device) -> SpeechFeatures | None:
    """Return what the generator hears beside the recording; ModelUnavailable where WavLM is missing."""
    match config.heard:
        case "none":
            return None
        case "mel":
            return MelFeatures().to(device)
        case "wavlm":
            return load_features(config.models_dir).to(device)


def open_compared(config: FeatureSection, *, device: torch.device) -> FeatureMap:
    """Return what the loss compares; ModelUnavailable where WavLM is missing."""
    if config.compared == "mel":
        return MelFeatures().to(device)
    wavlm: WavLmFeatures = load_features(config.models_dir)
    return WavLmLayerFeatures(wavlm.model, config.wavlm_loss_layer).to(device)

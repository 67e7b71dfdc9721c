"""The networks that can be trained, by the name that their checkpoints carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import InvalidOptions
from core.models.band_split_lstm import BandSplitLstm
from core.models.demucs_causal import DemucsCausal
from core.models.mask_cnn import MaskCnn
from core.models.two_stage_unet import TwoStageUNet

ARCHITECTURES: Mapping[str, Callable[..., nn.Module]] = {
    "band-split-lstm": BandSplitLstm,
    "demucs-causal": DemucsCausal,
    "mask-cnn": MaskCnn,
    "two-stage-unet": TwoStageUNet,
}


def build_network(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return a freshly initialised network."""
    if architecture not in ARCHITECTURES:
        raise InvalidOptions(f"Unknown architecture {architecture!r}; known are {', '.join(ARCHITECTURES)}")
    try:
        return ARCHITECTURES[architecture](**arguments)
    except (TypeError, ValueError) as error:
        raise InvalidOptions(f"The arguments of {architecture!r} do not fit: {error}") from error


def enhance_batch(network: nn.Module, noisy: Tensor) -> Tensor:
    """Return the estimate (B, T) of `noisy` (B, T), computed where the network is; it may keep a channel axis."""
    device = next(network.parameters()).device
    estimate: Tensor = network(noisy.to(device))
    return estimate.reshape(noisy.shape)


def pick_device(name: str) -> torch.device:
    """Return the device of this name; "auto" is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)

"""The networks that can be trained, by the name that their checkpoints carry. Each maps noisy to clean, (B, T)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from core.errors import InvalidOptions
from core.models.band_split_lstm import BandSplitLstm
from core.models.mask_cnn import MaskCnn

ARCHITECTURES: Mapping[str, Callable[..., nn.Module]] = {
    "band-split-lstm": BandSplitLstm,
    "mask-cnn": MaskCnn,
}


def build_network(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return a freshly initialised network."""
    if architecture not in ARCHITECTURES:
        raise InvalidOptions(f"Unknown architecture {architecture!r}; known are {', '.join(ARCHITECTURES)}")
    try:
        return ARCHITECTURES[architecture](**arguments)
    except (TypeError, ValueError) as error:
        raise InvalidOptions(f"The arguments of {architecture!r} do not fit: {error}") from error

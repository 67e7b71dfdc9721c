"""The stock alternatives: the causal Demucs as its paper's code computes it, and demucs networks without their weights.

Random weights cost what trained ones do. The speed is theirs; the distance between two ways to compute depends on the
weights, so the random ones are made no kinder than trained ones: see `random_htdemucs`.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from demucs.apply import BagOfModels, Model
from demucs.htdemucs import HTDemucs
from demucs.transformer import LayerScale
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.models.demucs_causal import DemucsCausal
from core.models.sinc_resample import ZERO_CROSSINGS, half_sample_kernel

FloatArray = NDArray[np.float32]

STEMS = ("drums", "bass", "other", "vocals")
HTDEMUCS_SEGMENT_S = Fraction(39, 5)
LAYER_SCALE = 0.5
"""New networks start with 1e-4 and 1e-3: the transformer and the branches hardly count then, unlike in trained ones."""


class PlainDemucsCausal(DemucsCausal):
    """The network with its resampling as a one-channel convolution, the whole recording at once."""

    def upsample(self, wav: Tensor) -> Tensor:
        for _ in range(self.config.resample.bit_length() - 1):
            between = F.conv1d(wav, half_sample_kernel()[None, None], padding=ZERO_CROSSINGS)[..., 1:]
            wav = torch.stack((wav, between), dim=-1).flatten(-2)
        return wav

    def downsample(self, wav: Tensor) -> Tensor:
        for _ in range(self.config.resample.bit_length() - 1):
            wav = F.pad(wav, (0, wav.shape[-1] % 2))
            shifted = F.conv1d(wav[..., 1::2], half_sample_kernel()[None, None], padding=ZERO_CROSSINGS)[..., :-1]
            wav = 0.5 * (wav[..., ::2] + shifted)
        return wav


def random_dns48() -> PlainDemucsCausal:
    """A dns48 of random weights, always the same."""
    torch.manual_seed(0)
    return PlainDemucsCausal().eval()


def random_htdemucs(*, seed: int = 0) -> HTDemucs:
    """A network of the released htdemucs's shape with random weights whose every layer counts."""
    torch.manual_seed(seed)
    network = HTDemucs(list(STEMS), bottom_channels=512, t_layers=5, segment=HTDEMUCS_SEGMENT_S).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, LayerScale):
                module.scale.fill_(LAYER_SCALE)
    return network


def random_bag(members: int, *, is_one_hot: bool) -> BagOfModels:
    """A bag of such networks; `is_one_hot` gives each member one stem of its own, as htdemucs_ft has it."""
    networks: list[Model] = [random_htdemucs(seed=seed) for seed in range(members)]
    weights = [[float(row == column) for column in range(len(STEMS))] for row in range(members)]
    return BagOfModels(networks, weights if is_one_hot else None)

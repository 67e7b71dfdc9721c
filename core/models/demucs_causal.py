"""Causal Demucs, the waveform U-Net with an LSTM for speech enhancement in real time.

Defossez, Synnaeve, Adi: "Real Time Speech Enhancement in the Waveform Domain", arXiv 2006.12847. Mono, 16 kHz. Module
positions follow the released checkpoints, so that their state dicts load unmodified. The paper's figure shows neither
the gain floor nor the truncated skips that the released weights depend on; both are here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.sinc_resample import downsample2, upsample2


@dataclass(frozen=True, kw_only=True)
class DemucsCausalConfig:
    """Constructor arguments of `DemucsCausal`, as a checkpoint's side-car stores them."""

    hidden: int = 48
    depth: int = 5
    kernel_size: int = 8
    stride: int = 4
    resample: int = 4
    growth: int = 2
    causal: bool = True
    rescale: float = 0.1
    floor: float = 1e-3
    sample_rate: int = 16_000


VARIANTS: Mapping[str, DemucsCausalConfig] = {
    "dns48": DemucsCausalConfig(),
    "dns64": DemucsCausalConfig(hidden=64),
    "master64": DemucsCausalConfig(hidden=64),
    "valentini_nc": DemucsCausalConfig(hidden=64, stride=2, resample=2, causal=False),
}
"""The released networks."""

LstmState = tuple[Tensor, Tensor]
"""Hidden and cell state of an LSTM, each (layers * directions, batch, channels)."""


def encoder_block(in_channels: int, out_channels: int, *, kernel_size: int, stride: int) -> nn.Sequential:
    """Return one level of the encoder: strided convolution, ReLU, 1x1 convolution, GLU. Nothing is padded."""
    return nn.Sequential(
        nn.Conv1d(in_channels, out_channels, kernel_size, stride),
        nn.ReLU(),
        nn.Conv1d(out_channels, 2 * out_channels, 1),
        nn.GLU(dim=1),
    )


def decoder_block(
    in_channels: int, out_channels: int, *, kernel_size: int, stride: int, is_last: bool = False
) -> nn.Sequential:
    """Return one level of the decoder: 1x1 convolution, GLU, transposed convolution, and ReLU except on the last."""
    layers: list[nn.Module] = [
        nn.Conv1d(in_channels, 2 * in_channels, 1),
        nn.GLU(dim=1),
        nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride),
    ]
    if not is_last:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class Bottleneck(nn.Module):
    """Two LSTM layers over time; with both directions, a linear layer brings the channels back to `channels`."""

    def __init__(self, channels: int, *, causal: bool = True) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers=2, bidirectional=not causal)
        self.linear = None if causal else nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor, state: LstmState | None = None) -> tuple[Tensor, LstmState]:
        """Map (B, C, T) to (B, C, T), going on from `state` (None: zeros); also return the state after the end."""
        y, state = self.lstm(x.permute(2, 0, 1), state)  # (T, B, C)
        if self.linear is not None:
            y = self.linear(y)
        return y.permute(1, 2, 0), state


class DemucsCausal(nn.Module):
    """The enhancement network: (B, 1, T) noisy speech to (B, 1, T) clean speech, without delay.

    The defaults are dns48: 18,867,937 parameters, 16 kHz, a hop of 256 samples (16 ms), 405 samples of look-ahead.
    `hidden=64` gives dns64 and master64 (33,533,569). `hidden=64, stride=2, resample=2, causal=False` gives
    valentini_nc (60,813,953), whose LSTM runs in both directions.
    """

    def __init__(
        self,
        *,
        hidden: int = 48,
        depth: int = 5,
        kernel_size: int = 8,
        stride: int = 4,
        resample: int = 4,
        growth: int = 2,
        causal: bool = True,
        rescale: float = 0.1,
        floor: float = 1e-3,
        sample_rate: int = 16_000,
    ) -> None:
        super().__init__()
        if resample not in (1, 2, 4):
            raise ValueError(f"resample must be 1, 2 or 4, got {resample}")
        self.config = DemucsCausalConfig(
            hidden=hidden,
            depth=depth,
            kernel_size=kernel_size,
            stride=stride,
            resample=resample,
            growth=growth,
            causal=causal,
            rescale=rescale,
            floor=floor,
            sample_rate=sample_rate,
        )
        channels = [1, *(hidden * growth**level for level in range(depth))]
        levels = list(pairwise(channels))
        self.encoder = nn.ModuleList(
            encoder_block(outer, inner, kernel_size=kernel_size, stride=stride) for outer, inner in levels
        )
        self.lstm = Bottleneck(channels[-1], causal=causal)
        self.decoder = nn.ModuleList(
            decoder_block(inner, outer, kernel_size=kernel_size, stride=stride, is_last=outer == 1)
            for outer, inner in reversed(levels)
        )
        rescale_convolutions(self, reference=rescale)

    @classmethod
    def from_config(cls, config: DemucsCausalConfig) -> DemucsCausal:
        """Return a freshly initialised network of this configuration."""
        return cls(**asdict(config))

    @property
    def total_stride(self) -> int:
        """Input samples per step of the LSTM: 256 for the causal variants, 16 for valentini_nc."""
        return int(self.config.stride**self.config.depth) // self.config.resample

    def valid_length(self, length: int) -> int:
        """Return the smallest length >= `length` samples that the convolutions cover without a remainder."""
        kernel_size, stride = self.config.kernel_size, self.config.stride
        length = math.ceil(length * self.config.resample)
        for _ in range(self.config.depth):
            length = max(1, math.ceil((length - kernel_size) / stride) + 1)
        for _ in range(self.config.depth):
            length = (length - 1) * stride + kernel_size
        return math.ceil(length / self.config.resample)

    def upsample(self, wav: Tensor) -> Tensor:
        """Return `wav` (..., T) at the internal rate, (..., resample * T)."""
        for _ in range(self.config.resample.bit_length() - 1):
            wav = upsample2(wav)
        return wav

    def downsample(self, wav: Tensor) -> Tensor:
        """Return `wav` (..., T) of the internal rate at the model's rate."""
        for _ in range(self.config.resample.bit_length() - 1):
            wav = downsample2(wav)
        return wav

    def estimate(self, wav: Tensor) -> Tensor:
        """Return the estimate (B, 1, T) of speech (B, 1, T) that is already scaled to unit standard deviation."""
        length = wav.shape[-1]
        x = self.upsample(F.pad(wav, (0, self.valid_length(length) - length)))
        skips = []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        x, _ = self.lstm(x)
        for decode in self.decoder:
            x = decode(x + skips.pop()[..., : x.shape[-1]])
        return self.downsample(x)[..., :length]

    def forward(self, noisy: Tensor, *, std: Tensor | float | None = None) -> Tensor:
        """Return the clean estimate (B, 1, T) of `noisy` (B, 1, T) or (B, T).

        `std` is the unbiased standard deviation that sets the scale, a number or (B, 1, 1); by default that of each
        item. To enhance a part of a recording as within the whole, give the whole recording's. Silence (`std` 0) gives
        exact zeros.
        """
        if noisy.dim() == 2:
            noisy = noisy.unsqueeze(1)
        if noisy.shape[-1] == 0:
            return noisy
        if std is None:
            # One sample has no deviation; PyTorch would say NaN.
            std = noisy.std(dim=-1, keepdim=True) if noisy.shape[-1] > 1 else 0.0
        # Divided by std + floor, multiplied by std alone: so the released weights were trained.
        return std * self.estimate(noisy / (self.config.floor + std))


def rescale_convolutions(module: nn.Module, *, reference: float) -> None:
    """Divide weight and bias of every (transposed) convolution by sqrt(std(weight) / reference), in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            with torch.no_grad():
                scale = (layer.weight.std() / reference).sqrt()
                layer.weight /= scale
                if layer.bias is not None:
                    layer.bias /= scale

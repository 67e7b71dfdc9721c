"""From features at a 256th of the rate to a waveform: post-processing, HiFi-GAN's upsampler, and the step to 48 kHz."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from core.models.finally_speech.blocks import (
    HIFI_KERNELS,
    HIFI_SLOPE,
    HifiResidualBlock,
    ResStack,
    conv,
    transposed_conv,
)

RATES_AND_KERNELS = ((8, 16), (8, 16), (2, 4), (2, 4))


class FeaturePostProcessing(nn.Module):
    """Speech features and spectral channels (B, features + spectral, N) -> (B, out, N)."""

    def __init__(self, channels: int = 1536, *, depth: int = 7, out_channels: int = 512) -> None:
        super().__init__()
        self.stack = ResStack(channels, depth=depth, dimensions=1, kernel=3)
        self.last = conv(1, channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.last(nn.functional.leaky_relu(self.stack(features), HIFI_SLOPE))
        return result


class HifiUpsampler(nn.Module):
    """(B, in, N) -> (B, initial / 16, 256 N)."""

    def __init__(self, in_channels: int = 512, *, initial_channels: int = 512) -> None:
        super().__init__()
        self.first = conv(1, in_channels, initial_channels, 1)
        widths = [initial_channels // 2**step for step in range(len(RATES_AND_KERNELS) + 1)]
        self.ups = nn.ModuleList(
            transposed_conv(width, narrower, kernel=kernel, rate=rate)
            for width, narrower, (rate, kernel) in zip(widths[:-1], widths[1:], RATES_AND_KERNELS, strict=True)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(HifiResidualBlock(width, kernel=kernel) for kernel in HIFI_KERNELS) for width in widths[1:]
        )

    def forward(self, features: Tensor) -> Tensor:
        x = self.first(features)
        for up, blocks in zip(self.ups, self.blocks, strict=True):
            x = up(nn.functional.leaky_relu(x, HIFI_SLOPE))
            x = torch.stack([block(x) for block in cast(nn.ModuleList, blocks)]).mean(0)
        return nn.functional.leaky_relu(x)


class UpsampleWaveUnet(nn.Module):
    """(B, 32, T) at 16 kHz -> (B, 32, 3 T) at 48 kHz: a 1-D U-Net with an LSTM at its bottom; T divides by 256."""

    RESIDUALS = 3
    SCALE = 4
    FACTOR = 3

    def __init__(
        self, channels: int = 32, *, widths: Sequence[int] = (128, 128, 128, 128, 256), bottom_width: int = 512
    ) -> None:
        super().__init__()
        self.first = conv(1, channels, widths[0], 5)
        self.before = nn.ModuleList(ResStack(width, depth=self.RESIDUALS, dimensions=1) for width in widths[:-1])
        self.downs = nn.ModuleList(
            conv(1, width, wider, self.SCALE, stride=self.SCALE) for width, wider in pairwise(widths)
        )
        self.enter = conv(1, widths[-1], bottom_width, 5)
        self.lstm = nn.LSTM(bottom_width, bottom_width, num_layers=2, batch_first=True, bidirectional=True)
        self.leave = conv(1, 2 * bottom_width, widths[-1], 5)
        self.ups = nn.ModuleList(
            transposed_conv(wider, width, kernel=self.SCALE, rate=self.SCALE)
            for width, wider in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.after = nn.ModuleList(ResStack(width, depth=self.RESIDUALS, dimensions=1) for width in widths[-2::-1])
        self.joins = nn.ModuleList(conv(1, 2 * width, width, 1) for width in widths[-2::-1])
        self.lengthen = transposed_conv(widths[0], bottom_width, kernel=self.FACTOR, rate=self.FACTOR)
        self.last = conv(1, bottom_width, channels, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        skips = []
        for before, down in zip(self.before, self.downs, strict=True):
            skips.append(x)
            x = down(before(x))
        memory, _ = self.lstm(self.enter(x).transpose(1, 2))
        x = self.leave(memory.transpose(1, 2))
        for up, after, join, skip in zip(self.ups, self.after, self.joins, reversed(skips), strict=True):
            x = join(torch.cat((after(up(x)), skip), dim=1))
        result: Tensor = self.last(self.lengthen(x))
        return result

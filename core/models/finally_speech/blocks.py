"""Building blocks: weight-normalised convolutions, residual stacks, nested U-Nets, HiFi-GAN residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

FREQUENCY_MULTIPLE = 16  # to which the frequency axis of a 2-D U-Net is padded
HIFI_SLOPE = 0.1
HIFI_DILATIONS = (1, 3, 5)
HIFI_KERNELS = (3, 7, 11)

Dimensions = Literal[1, 2]


def conv(
    dimensions: Dimensions, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, dilation: int = 1
) -> nn.Module:
    """Return a weight-normalised convolution with bias: of the same length, or, strided, without any padding."""
    kind = nn.Conv1d if dimensions == 1 else nn.Conv2d
    padding = 0 if stride > 1 else dilation * (kernel - 1) // 2
    layer = kind(in_channels, out_channels, kernel, stride=stride, dilation=dilation, padding=padding)
    normalised: nn.Module = weight_norm(layer)
    return normalised


def transposed_conv(in_channels: int, out_channels: int, *, kernel: int, rate: int) -> nn.Module:
    """Return a weight-normalised transposed convolution that lengthens (B, C, T) `rate` times."""
    layer = nn.ConvTranspose1d(in_channels, out_channels, kernel, rate, padding=(kernel - rate) // 2)
    normalised: nn.Module = weight_norm(layer)
    return normalised


class ResStack(nn.Module):
    """`depth` times x + conv(LeakyReLU(x)), of the same shape."""

    def __init__(self, width: int, *, depth: int, dimensions: Dimensions, kernel: int | None = None) -> None:
        super().__init__()
        kernel = kernel or (5 if dimensions == 1 else 3)
        self.convs = nn.ModuleList(conv(dimensions, width, width, kernel) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.convs:
            x = x + layer(nn.functional.leaky_relu(x))
        return x


class UnetLevel(nn.Module):
    """One level of a nested U-Net. What is inside it sees a `scale` times coarser copy; the skip is its input."""

    def __init__(
        self, width: int, inner: nn.Module, *, inner_width: int, depth: int, scale: int, dimensions: Dimensions
    ) -> None:
        super().__init__()
        self.before = ResStack(width, depth=depth, dimensions=dimensions)
        self.down = conv(dimensions, width, inner_width, scale, stride=scale)
        self.inner = inner
        self.up = nn.Upsample(scale_factor=scale, mode="nearest")
        self.narrow = conv(dimensions, inner_width, width, 1)
        self.after = ResStack(width, depth=depth, dimensions=dimensions)
        self.join = conv(dimensions, 2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.inner(self.down(self.before(x)))
        branch = self.after(self.narrow(self.up(branch)))
        joined: Tensor = self.join(torch.cat((x, branch), dim=1))
        return joined


class MultiScaleUnet(nn.Module):
    """A nested U-Net over `widths`: (B, in, T) -> (B, out, T), or (B, in, F, T) -> (B, out, F, T) in two dimensions.

    T must divide by scale ** (levels - 1). In two dimensions F is padded with zeros by 16 - F mod 16 (by 16 where it
    divides) and cropped back.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        depth: int,
        scale: int,
        in_channels: int,
        out_channels: int,
        dimensions: Dimensions,
    ) -> None:
        super().__init__()
        self.dimensions = dimensions
        kernel = 5 if dimensions == 1 else 3
        level: nn.Module = ResStack(widths[-1], depth=depth, dimensions=dimensions)
        for width, inner_width in zip(widths[-2::-1], widths[:0:-1], strict=True):
            level = UnetLevel(width, level, inner_width=inner_width, depth=depth, scale=scale, dimensions=dimensions)
        self.first = conv(dimensions, in_channels, widths[0], kernel)
        self.levels = level
        self.last = conv(dimensions, widths[0], out_channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        if self.dimensions == 1:
            return self._run(x)
        frequencies = x.shape[2]
        missing = FREQUENCY_MULTIPLE - frequencies % FREQUENCY_MULTIPLE
        return self._run(nn.functional.pad(x, (0, 0, 0, missing)))[:, :, :frequencies]

    def _run(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(self.levels(self.first(x)))
        return result


class HifiResidualBlock(nn.Module):
    """HiFi-GAN's residual block of type 1: for each dilation a dilated and a plain convolution beside a skip."""

    def __init__(self, width: int, *, kernel: int) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(conv(1, width, width, kernel, dilation=dilation) for dilation in HIFI_DILATIONS)
        self.plain = nn.ModuleList(conv(1, width, width, kernel) for _ in HIFI_DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            branch = dilated(nn.functional.leaky_relu(x, HIFI_SLOPE))
            x = x + plain(nn.functional.leaky_relu(branch, HIFI_SLOPE))
        return x

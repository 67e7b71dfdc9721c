"""The multi-scale STFT discriminators: five networks that look at complex spectrograms of five resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

WIDTH = 64
KERNEL = (3, 9)
DILATIONS = (1, 2, 4)
SLOPE = 0.2
SCALES_16K = (2048, 1024, 512, 256, 128)
SCALES_48K = (4096, 2048, 1024, 512, 256)


class Judgement(NamedTuple):
    """Logits (B, 1, frames, bins) and the feature maps that led to them."""

    logits: Tensor
    maps: tuple[Tensor, ...]


class StftDiscriminator(nn.Module):
    """Judges (B, T) by its STFT of one resolution (window = n_fft, a quarter of it as hop, not centred).

    All convolutions but the first are weight-normalised. A reduced one has fewer channels (`width`).
    """

    window: Tensor

    def __init__(self, n_fft: int, *, width: int = WIDTH) -> None:
        super().__init__()
        self.n_fft = n_fft
        window = torch.hann_window(n_fft)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        self.convs = nn.ModuleList([nn.Conv2d(2, width, KERNEL, padding=(1, 4))])
        for dilation in DILATIONS:
            self.convs.append(
                weight_norm(
                    nn.Conv2d(width, width, KERNEL, stride=(1, 2), dilation=(dilation, 1), padding=(dilation, 4))
                )
            )
        self.convs.append(weight_norm(nn.Conv2d(width, width, 3, padding=1)))
        self.last = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, wav: Tensor) -> Judgement:
        spectrum = torch.stft(
            wav, self.n_fft, self.n_fft // 4, window=self.window, center=False, return_complex=True
        ).transpose(1, 2)
        x = torch.stack((spectrum.real, spectrum.imag), dim=1)
        maps = []
        for layer in self.convs:
            x = nn.functional.leaky_relu(layer(x), SLOPE)
            maps.append(x)
        return Judgement(self.last(x), tuple(maps))


class MultiScaleDiscriminator(nn.Module):
    """One StftDiscriminator for each of `scales`: (B, 1, T) -> their judgements."""

    def __init__(self, scales: Sequence[int] = SCALES_48K, *, width: int = WIDTH) -> None:
        super().__init__()
        self.scales = nn.ModuleList(StftDiscriminator(n_fft, width=width) for n_fft in scales)

    def forward(self, wav: Tensor) -> list[Judgement]:
        return [scale(wav.squeeze(1)) for scale in self.scales]

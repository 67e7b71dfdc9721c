"""The networks that refine the upsampled waveform: on samples, beside the input, and by masks on its spectrogram."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.models.finally_speech.blocks import MultiScaleUnet, conv

N_FFT = 1024
HOP_LENGTH = 256
MAGNITUDE_FLOOR = 1e-9


class WaveUnet(nn.Module):
    """Upsampled features (B, 32, T) and the input (B, 1, T) -> (B, 32, T); T divides by 64."""

    def __init__(self, channels: int = 32, *, widths: Sequence[int] = (128, 128, 256, 512), depth: int = 4) -> None:
        super().__init__()
        self.unet = MultiScaleUnet(
            widths, depth=depth, scale=4, in_channels=channels, out_channels=channels, dimensions=1
        )

    def forward(self, joined: Tensor) -> Tensor:
        result: Tensor = self.unet(joined)
        return result


class SpectralMaskNet(nn.Module):
    """Multiplies the spectrograms of (B, C, T) by masks that it predicts from their magnitudes; (B, C, T).

    The lowest bin and the first frame keep factor 1: the network does not see them.
    """

    window: Tensor
    FRAME_MULTIPLE = 8

    def __init__(self, channels: int = 32, *, widths: Sequence[int] = (64, 128, 256, 512), depth: int = 4) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.unet = MultiScaleUnet(
            widths, depth=depth, scale=2, in_channels=channels, out_channels=channels, dimensions=2
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, length = x.shape
        spectrum = torch.stft(x.flatten(0, 1), N_FFT, HOP_LENGTH, window=self.window, return_complex=True)
        spectrum = spectrum.reshape(batch, channels, *spectrum.shape[1:])
        seen = spectrum[:, :, 1:, 1:]
        magnitude = (seen.real.square() + seen.imag.square() + MAGNITUDE_FLOOR).sqrt()
        missing = -magnitude.shape[-1] % self.FRAME_MULTIPLE
        left = (missing + 1) // 2
        padded = nn.functional.pad(magnitude, (left, missing - left))
        mask = nn.functional.softplus(self.unet(padded))[..., left : left + magnitude.shape[-1]]
        mask = nn.functional.pad(mask, (1, 0, 1, 0), value=1.0)
        masked = (spectrum * mask).flatten(0, 1)
        return torch.istft(masked, N_FFT, HOP_LENGTH, window=self.window, length=length).reshape(x.shape)


def make_skip(channels: int = 32) -> nn.Module:
    """Return the 1x1 convolution beside one of these networks."""
    return conv(1, channels, channels, 1)

"""SpectralUNet: from the log-mel spectrogram to 512 channels of a clean one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.models.finally_speech.blocks import MultiScaleUnet, conv
from core.models.finally_speech.mel import BINS, MEL_BANDS, mel_to_linear

OUT_CHANNELS = 512


class SpectralUnet(nn.Module):
    """(B, 80, N) -> (B, `out_channels`, N): a 2-D U-Net over the spectrogram on linear frequencies.

    It sees three channels: the mel bands interpolated, the place on the frequency axis, and a learned mapping.
    """

    spread: Tensor
    position: Tensor

    def __init__(
        self, widths: Sequence[int] = (16, 32, 64, 128, 256), *, depth: int = 4, out_channels: int = OUT_CHANNELS
    ) -> None:
        super().__init__()
        self.register_buffer("spread", torch.from_numpy(mel_to_linear()).float(), persistent=False)
        self.register_buffer("position", torch.linspace(0, 1, BINS).reshape(1, BINS, 1), persistent=False)
        self.learned = conv(1, MEL_BANDS, BINS, 1)
        self.unet = MultiScaleUnet(widths, depth=depth, scale=2, in_channels=3, out_channels=widths[0], dimensions=2)
        self.merge = conv(2, widths[0], 1, 1)
        self.last = conv(1, BINS, out_channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        frames = mel.shape[-1]
        missing = (1 << (frames - 1).bit_length()) - frames
        mel = nn.functional.pad(mel, (0, missing))
        position = self.position.expand(len(mel), -1, mel.shape[-1])
        channels = torch.stack((self.spread @ mel, position, self.learned(mel)), dim=1)
        enhanced = self.merge(self.unet(channels)).squeeze(1)
        result: Tensor = self.last(enhanced)[..., :frames]
        return result

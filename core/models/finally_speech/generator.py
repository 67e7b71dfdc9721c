"""The generator: features in, a waveform at 16 or 48 kHz out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from core.models.finally_speech.blocks import HIFI_KERNELS, HifiResidualBlock, conv
from core.models.finally_speech.masking import SpectralMaskNet, WaveUnet, make_skip
from core.models.finally_speech.mel import LogMel
from core.models.finally_speech.spectral_unet import OUT_CHANNELS, SpectralUnet
from core.models.finally_speech.upsampling import FeaturePostProcessing, HifiUpsampler, UpsampleWaveUnet

SAMPLE_RATE = 16000
LENGTH_MULTIPLE = 1024
OutputRate = Literal[16000, 48000]


class SpeechFeatures(Protocol):
    """What knows speech: (B, T) at 16 kHz -> (B, `width`, frames), at any frame rate."""

    width: int

    def __call__(self, wav: Tensor) -> Tensor:
        """Return the features of a peak-normalised wave."""
        ...


@dataclass(frozen=True, kw_only=True)
class GeneratorSizes:
    """What a reduced generator makes smaller; the defaults are the published ones."""

    spectral_widths: Sequence[int] = (16, 32, 64, 128, 256)
    spectral_depth: int = 4
    post_depth: int = 7
    channels: int = 512  # at the features' rate; 1/16 of it at the input's
    wave_widths: Sequence[int] = (128, 128, 256, 512)
    wave_depth: int = 4
    mask_widths: Sequence[int] = (64, 128, 256, 512)
    mask_depth: int = 4
    upsample_widths: Sequence[int] = (128, 128, 128, 128, 256)  # of the step to 48 kHz; five, each a quarter as long
    upsample_bottom: int = 512


class FinallyGenerator(nn.Module):
    """(B, 1, T) at 16 kHz, peak-normalised, T a multiple of 1024 -> (B, 1, T) at 16 kHz or (B, 1, 3 T) at 48 kHz.

    `features` is not part of the network: it is neither trained nor saved with it.
    """

    def __init__(
        self, *, feature_width: int = 1024, output_rate: OutputRate = 48000, sizes: GeneratorSizes | None = None
    ) -> None:
        super().__init__()
        self.feature_width = feature_width
        sizes = sizes or GeneratorSizes()
        narrow = sizes.channels // 16
        self.log_mel = LogMel()
        self.spectral_unet = SpectralUnet(sizes.spectral_widths, depth=sizes.spectral_depth)
        self.post_processing = FeaturePostProcessing(
            feature_width + OUT_CHANNELS, depth=sizes.post_depth, out_channels=sizes.channels
        )
        self.pre_upsampler = nn.Sequential(*(HifiResidualBlock(sizes.channels, kernel=k) for k in HIFI_KERNELS))
        self.upsampler = HifiUpsampler(sizes.channels, initial_channels=sizes.channels)
        self.join_input = conv(1, narrow + 1, narrow, 1)
        self.wave_unet = WaveUnet(narrow, widths=sizes.wave_widths, depth=sizes.wave_depth)
        self.wave_skip = make_skip(narrow)
        self.mask_net = SpectralMaskNet(narrow, widths=sizes.mask_widths, depth=sizes.mask_depth)
        self.mask_skip = make_skip(narrow)
        self.upsample_wave_unet = None
        if output_rate == 48000:
            self.upsample_wave_unet = UpsampleWaveUnet(
                narrow, widths=sizes.upsample_widths, bottom_width=sizes.upsample_bottom
            )
        self.last = conv(1, narrow, 1, 7)

    @classmethod
    def from_arguments(
        cls, *, output_rate: OutputRate, feature_width: int = 1024, sizes: Mapping[str, Any] | None = None
    ) -> FinallyGenerator:
        """Return the network of plain arguments, as a checkpoint's card holds them."""
        if output_rate not in (16000, 48000):
            raise ValueError(f"output_rate must be 16000 or 48000 Hz, got {output_rate}")
        return cls(feature_width=feature_width, output_rate=output_rate, sizes=GeneratorSizes(**(sizes or {})))

    def forward(self, wav: Tensor, features: Tensor) -> Tensor:
        """Return the enhanced wave; `features` (B, width, frames) are those of `wav`."""
        if wav.shape[-1] % LENGTH_MULTIPLE:
            raise ValueError(f"the length must be a multiple of {LENGTH_MULTIPLE} samples, got {wav.shape[-1]}")
        spectral = self.spectral_unet(self.log_mel(wav.squeeze(1)))
        features = nn.functional.interpolate(features, size=spectral.shape[-1], mode="nearest")
        x = self.post_processing(torch.cat((features, spectral), dim=1))
        x = self.upsampler(self.pre_upsampler(x))
        joined = self.join_input(torch.cat((x, wav), dim=1))
        x = self.wave_unet(joined) + self.wave_skip(joined)
        x = self.mask_net(x) + self.mask_skip(x)
        if self.upsample_wave_unet is not None:
            x = self.upsample_wave_unet(x)
        return torch.tanh(self.last(x))

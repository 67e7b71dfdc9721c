"""A small generator of studio-like speech: a denoiser, then a network that writes what filters could not give back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.models.band_split_lstm import (
    BAND_LAYOUT,
    COMPRESSION,
    BandDecoder,
    BandEncoder,
    BandSplitLstm,
    DualPathBlock,
    compress,
)

ARCHITECTURE = "band-split-generator"
EXPANSION = 1 / COMPRESSION - 1
EXPANSION_FLOOR = 1e-6  # of compressed magnitudes: keeps the gradient of the expansion finite
PRESENCE_FLOOR = 1e-3
"""Magnitude of a frame's loudest bin, at a level of -26 dBFS some 80 dB below speech, up to which nothing is added."""


class AdditiveDecoder(nn.Module):
    """One linear layer a band from features (B, W, K, N) to real and imaginary parts (B, 2, 256, N); zero at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(width * bands, 2 * bands * bins, 1, groups=bands) for bands, bins in BAND_LAYOUT
        )
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        batch, _, _, frames = features.shape
        by_band = features.transpose(1, 2)  # (B, K, W, N)
        parts = []
        first = 0
        for layer, (bands, bins) in zip(self.layers, BAND_LAYOUT, strict=True):
            flat = layer(by_band[:, first : first + bands].flatten(1, 2))
            parts.append(flat.reshape(batch, bands, 2, bins, frames).transpose(1, 2).flatten(2, 3))
            first += bands
        return torch.cat(parts, dim=2)


class BandSplitGenerator(nn.Module):
    """(B, T) at 16 kHz -> (B, T): what `denoiser` leaves of the recording, filtered again and added to.

    The generator sees the compressed spectrograms of the recording and of its denoised version, and the denoiser's own
    features, which stand where FINALLY has those of WavLM. Its blocks are the denoiser's: recurrent over bands and over
    frames. Per bin it gives a complex filter over three frames of the denoised spectrogram, and a complex value that is
    added to the result in the compressed domain, where a weak consonant weighs nearly as much as a vowel: so it can put
    something where the denoiser left nothing. Until it is trained it passes what the denoiser gives. Where the
    recording is digitally silent nothing is added.
    """

    def __init__(
        self,
        *,
        denoiser: Mapping[str, Any] | None = None,
        width: int = 48,
        hidden: int = 48,
        blocks: int = 2,
    ) -> None:
        super().__init__()
        self.denoiser = BandSplitLstm(**(denoiser or {}))
        self.encoder = BandEncoder(width, parts=4)
        self.adapt = nn.Linear(self.denoiser.encoder.width, width)
        self.blocks = nn.Sequential(*(DualPathBlock(width, hidden, feed_forward=0) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.filter_decoder = BandDecoder(width)
        for layer in self.filter_decoder.layers:
            nn.init.zeros_(cast(nn.Conv1d, layer).weight)  # what is left is the bias, which passes
        self.additive_decoder = AdditiveDecoder(width)

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the enhanced waveform (B, T) of `noisy` (B, T)."""
        heard = self.denoiser.stft(noisy)
        knowledge = self.denoiser.features(heard)
        denoised = self.denoiser.apply_filters(heard, self.denoiser.decode(knowledge))
        seen = torch.cat((compress(heard[:, :-1]), compress(denoised[:, :-1])), dim=1)
        features = self.encoder(seen).permute(0, 3, 2, 1) + self.adapt(knowledge)  # (B, N, K, W)
        features = self.norm(self.blocks(features)).permute(0, 3, 2, 1)
        taps = self.filter_decoder(features).float()
        filtered = self.denoiser.apply_filters(denoised, torch.complex(taps[:, 0], taps[:, 1]))
        added = self.additive_decoder(features).float() * presence(heard)
        return self.denoiser.stft.inverse(add_compressed(filtered, added), length=noisy.shape[-1])


def presence(spectrogram: Tensor) -> Tensor:
    """Return a factor (B, 1, 1, N), 0 for silent frames of (B, F, N) and nearly 1 for those that hold anything."""
    loudest = spectrogram.abs().amax(dim=1)
    return (loudest / (loudest + PRESENCE_FLOOR))[:, None, None]


def add_compressed(spectrogram: Tensor, added: Tensor) -> Tensor:
    """Return (B, F, N) with `added` (B, 2, F - 1, N) added to its compressed values; the highest bin stays."""
    total = compress(spectrogram[:, :-1]) + added
    magnitude = (total.square().sum(1) + EXPANSION_FLOOR**2).sqrt()
    scale = magnitude.pow(EXPANSION)
    expanded = torch.complex(total[:, 0] * scale, total[:, 1] * scale)
    return torch.cat((expanded, spectrogram[:, -1:]), dim=1)

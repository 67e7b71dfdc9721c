"""A band-split network that filters noisy speech: recurrent over bands and over time, in both directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.models.stft import Stft

BAND_LAYOUT = ((16, 4), (8, 8), (8, 16))
"""(bands, bins a band) from low to high: 32 bands over 256 bins, 125 Hz wide below 2 kHz and 500 Hz above 4 kHz."""
FRAME_TAPS = 3  # frames n - 1, n, n + 1, in the band encoder and in the filter
COMPRESSION = 0.3  # exponent of the magnitudes that the network sees
MAGNITUDE_FLOOR = 1e-4
STEPS_AT_ONCE = 20_000
"""Steps of all sequences together that an LSTM takes on a CPU: what passes between the layers then stays in the cache.
38 s of sound take two thirds of the time and of the memory; 10,000 and 40,000 steps are no better."""
ROWS_AT_ONCE = 2_000
"""Feature vectors that a feed-forward layer takes on a CPU at once, for the same reason."""
FRAMES_AT_ONCE = 512
"""Frames whose filters are made at once on a CPU: those of a minute would take 100 MB, and leave the cache."""
FILTER_INIT_SCALE = 0.1  # of the default weights: filters differ little from passing at first


def compress(spectrum: Tensor) -> Tensor:
    """Return real and imaginary parts (B, 2, F, N) of a complex spectrum (B, F, N), its magnitudes to the power 0.3."""
    scale = spectrum.abs().clamp(min=MAGNITUDE_FLOOR).pow(COMPRESSION - 1)
    return torch.stack((spectrum.real * scale, spectrum.imag * scale), dim=1)


class BandEncoder(nn.Module):
    """One linear layer a band over its bins in three frames: (B, P, 256, N) -> (B, W, K, N), K = 32 bands.

    The P parts are real and imaginary, of each spectrogram that the network sees.
    """

    def __init__(self, width: int, *, parts: int = 2) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(
            nn.Conv1d(parts * bands * bins, width * bands, FRAME_TAPS, padding=1, groups=bands)
            for bands, bins in BAND_LAYOUT
        )

    def forward(self, spectrum: Tensor) -> Tensor:
        batch, parts, _, frames = spectrum.shape
        encoded = []
        first = 0
        for layer, (bands, bins) in zip(self.layers, BAND_LAYOUT, strict=True):
            part = spectrum[:, :, first : first + bands * bins].reshape(batch, parts, bands, bins, frames)
            flat = layer(part.transpose(1, 2).reshape(batch, bands * parts * bins, frames))
            encoded.append(flat.reshape(batch, bands, self.width, frames))
            first += bands * bins
        return torch.cat(encoded, dim=1).transpose(1, 2)


def make_filter_layer(width: int, *, bands: int, bins: int) -> nn.Conv1d:
    """Return the linear layer of `bands` equal bands whose filters pass the signal: the centre tap's bias is 1."""
    layer = nn.Conv1d(width * bands, 2 * FRAME_TAPS * bins * bands, 1, groups=bands)
    bias = torch.zeros(bands, 2, FRAME_TAPS, bins)
    bias[:, 0, FRAME_TAPS // 2] = 1.0
    with torch.no_grad():
        layer.weight.mul_(FILTER_INIT_SCALE)
        layer.bias = nn.Parameter(bias.flatten())
    return layer


class BandDecoder(nn.Module):
    """One linear layer a band from features to filters: (B, W, K, N) -> real and imaginary parts (B, 2, 3, 256, N)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(make_filter_layer(width, bands=bands, bins=bins) for bands, bins in BAND_LAYOUT)

    def forward(self, features: Tensor) -> Tensor:
        batch, _, _, frames = features.shape
        by_band = features.transpose(1, 2)  # (B, K, W, N)
        filters = []
        first = 0
        for layer, (bands, bins) in zip(self.layers, BAND_LAYOUT, strict=True):
            flat = layer(by_band[:, first : first + bands].flatten(1, 2))
            taps = flat.reshape(batch, bands, 2, FRAME_TAPS, bins, frames).permute(0, 2, 3, 1, 4, 5)
            filters.append(taps.flatten(3, 4))  # (B, 2, 3, bands * bins, N)
            first += bands
        return torch.cat(filters, dim=3)


class RecurrentPath(nn.Module):
    """Layer norm, bidirectional LSTM along the first axis of (L, S, W), projection, residual."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.lstm = nn.LSTM(width, hidden, bidirectional=True)
        self.projection = nn.Linear(2 * hidden, width)

    def forward(self, sequence: Tensor) -> Tensor:
        if torch.is_grad_enabled() or sequence.device.type != "cpu":
            return sequence + self._find(sequence)
        result = torch.empty_like(sequence)
        at_once = max(STEPS_AT_ONCE // sequence.shape[0], 1)
        for part, place in zip(sequence.split(at_once, dim=1), result.split(at_once, dim=1), strict=True):
            torch.add(part, self._find(part), out=place)
        return result

    def _find(self, sequence: Tensor) -> Tensor:
        output, _ = self.lstm(self.norm(sequence))
        projected: Tensor = self.projection(output)
        return projected


class FeedForward(nn.Module):
    """Layer norm, linear layer to `units`, GELU, linear layer back, residual; (..., W) both ways.

    Passes its input at first, so that it can be put into a network that is trained already.
    """

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expansion = nn.Linear(width, units)
        self.projection = nn.Linear(units, width)
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, features: Tensor) -> Tensor:
        if torch.is_grad_enabled() or features.device.type != "cpu":
            return features + self._find(features)
        rows = features.reshape(-1, features.shape[-1])
        result = torch.empty_like(rows)
        for part, place in zip(rows.split(ROWS_AT_ONCE), result.split(ROWS_AT_ONCE), strict=True):
            torch.add(part, self._find(part), out=place)
        return result.reshape(features.shape)

    def _find(self, features: Tensor) -> Tensor:
        projected: Tensor = self.projection(nn.functional.gelu(self.expansion(self.norm(features))))
        return projected


class DualPathBlock(nn.Module):
    """A recurrent path over the bands of each frame, one over the frames of each band, a feed-forward layer if it has
    units; (B, N, K, W) both ways."""

    def __init__(self, width: int, hidden: int, *, feed_forward: int) -> None:
        super().__init__()
        self.over_bands = RecurrentPath(width, hidden)
        self.over_time = RecurrentPath(width, hidden)
        self.feed_forward = FeedForward(width, feed_forward) if feed_forward else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        batch, frames, bands, width = features.shape
        by_band = self.over_bands(features.permute(2, 0, 1, 3).flatten(1, 2))  # (K, B * N, W)
        by_frame = by_band.reshape(bands, batch, frames, width).permute(2, 1, 0, 3)  # (N, B, K, W)
        filtered: Tensor = self.feed_forward(self.over_time(by_frame.flatten(1, 2)))
        return filtered.reshape(frames, batch, bands, width).transpose(0, 1)


class BandSplitLstm(nn.Module):
    """Band-split dual-path LSTM with a complex three-frame filter per bin; 16 kHz, for recordings (not causal).

    The spectrogram (512 / 256) with compressed magnitudes is split into 32 bands, each mapped to `width` features.
    `blocks` dual-path blocks run bidirectional LSTMs of `hidden` cells over bands and over time, each followed by a
    feed-forward layer of `feed_forward` units (0: none). A linear layer a band turns the features into complex filters
    over three frames that are applied to the uncompressed spectrogram, so zeros give exact zeros. The highest bin
    (8 kHz) shares the filter of its neighbour.

    After band-split RNN (Luo and Yu, 2023) and dual-path RNN (Luo et al., 2020), much reduced. The state of the LSTMs
    over time reaches over the whole input; a caller that cuts it into segments reads context on both sides.
    """

    def __init__(
        self,
        *,
        n_fft: int = 512,
        hop_length: int = 256,
        width: int = 48,
        hidden: int = 48,
        blocks: int = 2,
        feed_forward: int = 0,
    ) -> None:
        super().__init__()
        bins = sum(bands * size for bands, size in BAND_LAYOUT)
        if n_fft // 2 != bins:
            raise ValueError(f"the band layout covers {bins} bins, got n_fft {n_fft}")
        self.stft = Stft(n_fft=n_fft, hop_length=hop_length)
        self.encoder = BandEncoder(width)
        self.blocks = nn.Sequential(*(DualPathBlock(width, hidden, feed_forward=feed_forward) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.decoder = BandDecoder(width)

    def filters(self, spectrogram: Tensor) -> Tensor:
        """Return complex filters (B, 3, F - 1, N) for frames n - 1, n, n + 1 of `spectrogram` (B, F, N)."""
        return self.decode(self.features(spectrogram))

    def features(self, spectrogram: Tensor) -> Tensor:
        """Return what the network has found out (B, N, K, W): normalised features of each band and frame."""
        # A frame's features side by side: the paths read and write them many times.
        features = self.encoder(compress(spectrogram[:, :-1])).permute(0, 3, 2, 1).contiguous()
        normalised: Tensor = self.norm(self.blocks(features))
        return normalised

    def decode(self, features: Tensor) -> Tensor:
        """Return the complex filters (B, 3, F - 1, N) of `features` (B, N, K, W)."""
        taps = self.decoder(features.permute(0, 3, 2, 1)).float()
        return torch.complex(taps[:, 0], taps[:, 1])

    def apply_filters(self, spectrogram: Tensor, filters: Tensor) -> Tensor:
        """Return the filtered spectrogram (B, F, N); frames beyond the ends count as zero."""
        filters = torch.cat((filters, filters[:, :, -1:]), dim=2)
        padded = nn.functional.pad(spectrogram, (1, 1))
        frames = spectrogram.shape[-1]
        shifted = torch.stack([padded[..., tap : tap + frames] for tap in range(FRAME_TAPS)], dim=1)
        return (filters * shifted).sum(1)

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the enhanced waveform (B, T) of `noisy` (B, T)."""
        spectrogram = self.stft(noisy)
        return self.stft.inverse(self.enhance(spectrogram), length=noisy.shape[-1])

    def enhance(self, spectrogram: Tensor) -> Tensor:
        """Return the enhanced spectrogram (B, F, N)."""
        features = self.features(spectrogram)
        if torch.is_grad_enabled() or features.device.type != "cpu":
            return self.apply_filters(spectrogram, self.decode(features))
        frames = spectrogram.shape[-1]
        parts = []
        for start in range(0, frames, FRAMES_AT_ONCE):
            stop = min(start + FRAMES_AT_ONCE, frames)
            first, last = max(start - 1, 0), min(stop + 1, frames)  # filters reach into the neighbouring frames
            part = self.apply_filters(spectrogram[..., first:last], self.decode(features[:, first:last]))
            parts.append(part[..., start - first : stop - first])
        return torch.cat(parts, dim=-1)

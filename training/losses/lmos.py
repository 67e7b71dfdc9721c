"""LMOS, the regression loss of FINALLY: distance of speech features and of magnitudes, which allows only one mode.

Babaev et al., "FINALLY: fast and universal speech enhancement with studio-like quality", NeurIPS 2024.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

N_FFT = 1024
HOP_LENGTH = 256
FEATURE_WEIGHT = 100.0
SPECTRUM_WEIGHT = 1.0


class FeatureMap(Protocol):
    """Differentiable features of waves (B, T) at 16 kHz, of any shape: one layer of a network that knows speech.

    The published loss takes WavLM's convolutional encoder. Its projected features or its first transformer layer leave
    artefacts in the spectrum; the convolutional ones at times change a phoneme.
    """

    def __call__(self, wav: Tensor) -> Tensor:
        """Return the features."""
        ...


def magnitude_distance(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference of the magnitudes (1024 / 256, centred) of (B, T)."""
    window = torch.hann_window(N_FFT, device=clean.device)
    of_estimate, of_clean = (
        torch.stft(wav, N_FFT, HOP_LENGTH, window=window, return_complex=True).abs() for wav in (estimate, clean)
    )
    return (of_estimate - of_clean).abs().mean()


class LmosLoss:
    """100 x MSE of the features + L1 of the magnitudes, times `scale` (1, 20 and 0.5 in the three stages).

    `downsampling` (3 for 48 kHz) brings both to 16 kHz for the features; magnitudes are taken at the output's rate.
    """

    def __init__(self, features: FeatureMap, *, scale: float = 1.0, downsampling: int = 1) -> None:
        self._features = features
        self._scale = scale
        self._downsampling = downsampling

    def __call__(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of (B, T); the gradient flows through the features of the estimate alone."""
        with torch.no_grad():
            wanted = self._features(self._at_feature_rate(clean))
        heard = self._features(self._at_feature_rate(estimate))
        distance = (heard - wanted).square().mean()
        return self._scale * (FEATURE_WEIGHT * distance + SPECTRUM_WEIGHT * magnitude_distance(estimate, clean))

    def _at_feature_rate(self, wav: Tensor) -> Tensor:
        return wav if self._downsampling == 1 else decimate(wav, self._downsampling)


def decimate(wav: Tensor, factor: int, *, zeros: int = 24) -> Tensor:
    """Return every `factor`-th sample of (B, T) after a windowed-sinc low-pass; ceil(T / factor) samples."""
    reach = zeros * factor
    time = torch.arange(-reach, reach + 1, device=wav.device, dtype=wav.dtype) / factor
    taps = torch.sinc(time) * torch.cos(torch.pi * time / (2 * zeros + 2)).square()
    taps = taps / taps.sum()
    return torch.nn.functional.conv1d(wav.unsqueeze(1), taps[None, None], stride=factor, padding=reach).squeeze(1)

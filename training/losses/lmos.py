"""LMOS, the regression loss of FINALLY: distance of speech features and of magnitudes, which allows only one mode.

LMOS is 100 x `feature_distance` + `magnitude_distance`, times 1, 20 and 0.5 in the three stages. The features are those
of WavLM at 16 kHz, the magnitudes are taken at the output's rate. Babaev et al., "FINALLY: fast and universal speech
enhancement with studio-like quality", NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

N_FFT = 1024
HOP_LENGTH = 256


def magnitude_distance(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference of the magnitudes (1024 / 256, centred) of (B, T)."""
    window = torch.hann_window(N_FFT, device=clean.device)
    of_estimate, of_clean = (
        torch.stft(wav, N_FFT, HOP_LENGTH, window=window, return_complex=True).abs() for wav in (estimate, clean)
    )
    return (of_estimate - of_clean).abs().mean()


def feature_distance(estimate: Tensor, clean: Tensor, *, features: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the MSE of the features of (B, T) at 16 kHz; the gradient flows through those of the estimate alone."""
    with torch.no_grad():
        wanted = features(clean)
    return (features(estimate) - wanted).square().mean()


def decimate(wav: Tensor, factor: int, *, zeros: int = 24) -> Tensor:
    """Return every `factor`-th sample of (B, T) after a windowed-sinc low-pass; ceil(T / factor) samples."""
    reach = zeros * factor
    time = torch.arange(-reach, reach + 1, device=wav.device, dtype=wav.dtype) / factor
    taps = torch.sinc(time) * torch.cos(torch.pi * time / (2 * zeros + 2)).square()
    taps = taps / taps.sum()
    return torch.nn.functional.conv1d(wav.unsqueeze(1), taps[None, None], stride=factor, padding=reach).squeeze(1)

"""The perceptual term for sound of any kind and rate: differences of specific loudness over auditory bands."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

WINDOW_S = 0.046  # 2048 samples at 44.1 kHz, 1024 at 16 kHz
BANDS = 64
LOWEST_HZ = 30.0
HIGHEST_HZ = 16_000.0
FULL_SCALE_SPL_DB = 100.0  # at which a sine of full scale is thought to be heard
LOUDNESS_EXPONENT = 0.23  # Zwicker and Fastl, "Psychoacoustics"


def erb_number(frequency_hz: float) -> float:
    """Return the position on the ERB scale (Glasberg and Moore, 1990)."""
    return 21.4 * math.log10(1 + 0.00437 * frequency_hz)


@lru_cache(maxsize=4)
def _bands(sample_rate: int, n_fft: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return band weights (64, F), triangles over the ERB scale, and the power at the hearing threshold (64, 1)."""
    bins_hz = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    bins = 21.4 * torch.log10(1 + 0.00437 * bins_hz)
    top = erb_number(min(HIGHEST_HZ, sample_rate / 2))
    centres = torch.linspace(erb_number(LOWEST_HZ), top, BANDS, dtype=torch.float64)
    # At least one bin wide: low bands are narrower than a bin.
    reach = torch.maximum(centres[1] - centres[0], torch.gradient(bins)[0])
    weights = (1 - (bins - centres[:, None]).abs() / reach).clamp(min=0)
    khz = (10 ** (centres / 21.4) - 1) / 4.37
    threshold_db = 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4  # Terhardt, 1979
    # A sine of full scale has a power of (n_fft / 4)^2 in its bin under a Hann window.
    full_scale = (n_fft / 4) ** 2
    threshold = full_scale * 10 ** ((threshold_db.clamp(max=80.0) - FULL_SCALE_SPL_DB) / 10)
    return weights.float().to(device), threshold.float().unsqueeze(1).to(device)


def specific_loudness(wav: Tensor, *, sample_rate: int) -> Tensor:
    """Return the loudness of each band (B, 64, N) of `wav` (B, T): 0 at the hearing threshold, 1 some 40 dB above."""
    n_fft = 1 << round(math.log2(WINDOW_S * sample_rate))
    window = torch.hann_window(n_fft, device=wav.device)
    spectrum = torch.stft(wav, n_fft, n_fft // 4, window=window, return_complex=True)
    weights, threshold = _bands(sample_rate, n_fft, wav.device)
    power = weights @ (spectrum.real.square() + spectrum.imag.square())
    # From the threshold down there is no loudness, and no gradient that would call for less than nothing.
    audible = (power / threshold).clamp(min=1.0)
    scale: float = 10 ** (4 * LOUDNESS_EXPONENT) - 1
    return (audible**LOUDNESS_EXPONENT - 1) / scale


def loudness_loss(estimate: Tensor, clean: Tensor, *, sample_rate: int) -> Tensor:
    """Return the mean absolute difference of specific loudness of (B, T): noise in gaps counts as it is heard."""
    first, second = (specific_loudness(wav, sample_rate=sample_rate) for wav in (estimate, clean))
    return (first - second).abs().mean()

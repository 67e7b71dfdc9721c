"""Losses on one STFT (512 / 128, periodic Hann): linear and compressed magnitudes, compressed complex values."""

from __future__ import annotations

import torch
from torch import Tensor

N_FFT = 512
HOP_LENGTH = 128
COMPRESSION = 0.3  # exponent of the magnitude, near that of loudness
MAGNITUDE_FLOOR = 1e-3  # keeps the gradient of the compression finite: floor ** -0.7 = 126
HIGH_BAND_HZ = 2000.0
HIGH_BAND_WEIGHT = 2.0  # speech above 2 kHz is weak, and is otherwise removed with the noise
SAMPLE_RATE = 16000


def _spectrogram(wav: Tensor) -> Tensor:
    window = torch.hann_window(N_FFT, device=wav.device)
    return torch.stft(wav, N_FFT, HOP_LENGTH, window=window, return_complex=True)


def _bin_weights(bins: int, device: torch.device) -> Tensor:
    """Return weights (F, 1) of mean 1 that count what lies above 2 kHz double."""
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, bins, device=device)
    weights = torch.where(frequencies >= HIGH_BAND_HZ, HIGH_BAND_WEIGHT, 1.0)
    return (weights / weights.mean()).unsqueeze(-1)


def magnitude_l1_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference of the linear magnitudes of (B, T)."""
    return (_spectrogram(estimate).abs() - _spectrogram(clean).abs()).abs().mean()


def compressed_magnitude_l1_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference of the magnitudes to the power 0.3 of (B, T)."""
    m_estimate = _spectrogram(estimate).abs().clamp(min=MAGNITUDE_FLOOR).pow(COMPRESSION)
    m_clean = _spectrogram(clean).abs().clamp(min=MAGNITUDE_FLOOR).pow(COMPRESSION)
    return (m_estimate - m_clean).abs().mean()


def _compressed_terms(estimate: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    s_estimate, s_clean = _spectrogram(estimate), _spectrogram(clean)
    m_estimate = s_estimate.abs().clamp(min=MAGNITUDE_FLOOR)
    m_clean = s_clean.abs().clamp(min=MAGNITUDE_FLOOR)
    weights = _bin_weights(s_clean.shape[-2], s_clean.device)
    magnitude = (m_estimate.pow(COMPRESSION) - m_clean.pow(COMPRESSION)).square()
    difference = s_estimate * m_estimate.pow(COMPRESSION - 1) - s_clean * m_clean.pow(COMPRESSION - 1)
    complex_error = difference.real.square() + difference.imag.square()
    return (weights * magnitude).mean(), (weights * complex_error).mean()


def compressed_magnitude_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the mean squared difference of the magnitudes to the power 0.3, above 2 kHz counted double."""
    return _compressed_terms(estimate, clean)[0]


def compressed_spectrum_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return 0.7 of the magnitude term and 0.3 of the complex term, both compressed by 0.3.

    Ephrat et al. (2018) introduced the compression, Braun and Tashev (2020) the mixture of the two terms.
    """
    magnitude, complex_error = _compressed_terms(estimate, clean)
    return 0.7 * magnitude + 0.3 * complex_error

"""Multi-resolution STFT loss: spectral convergence plus log magnitude (Yamamoto et al., Parallel WaveGAN, 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""n_fft, hop_length, win_length of each."""
POWER_FLOOR = 1e-7


def _magnitude(wav: Tensor, *, n_fft: int, hop_length: int, win_length: int) -> Tensor:
    window = torch.hann_window(win_length, device=wav.device)
    spectrogram = torch.stft(wav, n_fft, hop_length, win_length, window=window, return_complex=True)
    return (spectrogram.real.square() + spectrogram.imag.square()).clamp(min=POWER_FLOOR).sqrt()


def multi_resolution_stft_terms(estimate: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    """Return spectral convergence and log-magnitude distance of (B, T), each the mean over three resolutions.

    Spectral convergence is a ratio of Frobenius norms over the whole batch, as in the original of brief a.
    """
    convergence, log_distance = [], []
    for n_fft, hop_length, win_length in RESOLUTIONS:
        m_estimate = _magnitude(estimate, n_fft=n_fft, hop_length=hop_length, win_length=win_length)
        m_clean = _magnitude(clean, n_fft=n_fft, hop_length=hop_length, win_length=win_length)
        convergence.append(torch.linalg.vector_norm(m_clean - m_estimate) / torch.linalg.vector_norm(m_clean))
        log_distance.append((m_clean.log() - m_estimate.log()).abs().mean())
    return torch.stack(convergence).mean(), torch.stack(log_distance).mean()


def multi_resolution_stft_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the sum of both terms of `multi_resolution_stft_terms`."""
    convergence, log_distance = multi_resolution_stft_terms(estimate, clean)
    return convergence + log_distance

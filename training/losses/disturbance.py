"""The perceptual disturbance of PESQ as a loss: loudness differences per Bark band, added noise counted more than loss.

After ITU-T P.862 and Martin-Donas et al., "A deep learning loss function based on the perceptual evaluation of the
speech quality", 2018. What differs: bands and threshold of hearing are closed formulas (Schroeder's Bark scale,
Terhardt's threshold) instead of tables; both signals get one gain, from the clean one, so that a wrong level counts;
the disturbance of a frame levels off smoothly.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

SAMPLE_RATE = 16000
N_FFT = 512
HOP_LENGTH = 256
BANDS = 48
LOWEST_HZ = 60.0
SPEECH_LEVEL_DB = 79.0  # SPL of speech at which the comparison is made
SPEECH_RANGE_DB = 40.0  # frames further below the loudest do not count for the level
LOUDNESS_EXPONENT = 0.23  # Zwicker
LOUDNESS_SCALE = 0.1866
MASKED_SHARE = 0.25  # differences below this share of the smaller loudness go unheard
ASYMMETRY_EXPONENT = 1.2
ASYMMETRY_OFFSET = 50.0
ASYMMETRY_RANGE = (3.0, 12.0)
SYMMETRIC_WEIGHT = 0.1  # of P.862: MOS = 4.5 - 0.1 D - 0.0309 DA
ASYMMETRIC_WEIGHT = 0.0309
LARGEST_DISTURBANCE = 45.0
EPSILON = 1e-8


@lru_cache(maxsize=4)
def bark_bands(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return band weights (48, 257), each bin in at least one band, and the hearing threshold of each band (48, 1)."""
    bins_hz = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, device=device)
    bark = 7 * torch.asinh(bins_hz / 650)
    edges = torch.linspace(float(7 * torch.asinh(torch.tensor(LOWEST_HZ / 650))), float(bark[-1]), BANDS + 1)
    centres = ((edges[1:] + edges[:-1]) / 2).to(device)
    half_width = float(edges[1] - edges[0])
    # Triangles over two bands, at least one bin wide: low bands are narrower than a bin.
    spacing = torch.gradient(bark)[0]
    reach = torch.maximum(torch.tensor(half_width, device=device), spacing)
    weights = (1 - (bark - centres.unsqueeze(1)).abs() / reach).clamp(min=0)
    khz = 0.65 * torch.sinh(centres / 7)
    threshold_db = 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    return weights, 10 ** (threshold_db / 10).unsqueeze(1)


def power_spectrum(wav: Tensor) -> Tensor:
    window = torch.hann_window(N_FFT, device=wav.device)
    return torch.stft(wav, N_FFT, HOP_LENGTH, window=window, return_complex=True).abs().square()


def loudness(power: Tensor, threshold: Tensor) -> Tensor:
    audible = (0.5 + 0.5 * power / threshold).clamp(min=1.0)
    return LOUDNESS_SCALE * (threshold / 0.5) ** LOUDNESS_EXPONENT * (audible**LOUDNESS_EXPONENT - 1)


def asymmetry(p_estimate: Tensor, p_clean: Tensor) -> Tensor:
    """Return by how much more a difference counts where the estimate has more power than the clean speech, 0 to 12."""
    ratio = ((p_estimate + ASYMMETRY_OFFSET) / (p_clean + ASYMMETRY_OFFSET)) ** ASYMMETRY_EXPONENT
    low, high = ASYMMETRY_RANGE
    return torch.where(ratio < low, 0.0, ratio.clamp(max=high))


def disturbance_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the loss of mean opinion score that P.862 would ascribe to the difference, 0 to 5.9; (B, T) at 16 kHz.

    A mean over frames, with the clean speech at 79 dB SPL. Silent clean speech gives 0.
    """
    weights, threshold = bark_bands(clean.device)
    of_clean, of_estimate = power_spectrum(clean), power_spectrum(estimate)
    frame_power = of_clean.sum(1)  # (B, N)
    is_speech = frame_power > frame_power.amax(-1, keepdim=True) * 10 ** (-SPEECH_RANGE_DB / 10)
    level = (frame_power * is_speech).sum(-1) / is_speech.sum(-1).clamp(min=1)
    gain = torch.where(level > EPSILON, 10 ** (SPEECH_LEVEL_DB / 10) / level.clamp(min=EPSILON), 0.0)[:, None, None]
    p_clean, p_estimate = weights @ (gain * of_clean), weights @ (gain * of_estimate)
    l_clean, l_estimate = loudness(p_clean, threshold), loudness(p_estimate, threshold)
    masked = MASKED_SHARE * torch.minimum(l_clean, l_estimate)
    heard = ((l_estimate - l_clean).abs() - masked).clamp(min=0)
    symmetric = (heard.square().sum(1) + EPSILON).sqrt()
    asymmetric = (heard * asymmetry(p_estimate, p_clean)).sum(1)
    return (SYMMETRIC_WEIGHT * _saturate(symmetric) + ASYMMETRIC_WEIGHT * _saturate(asymmetric)).mean()


def _saturate(disturbance: Tensor) -> Tensor:
    """Level off towards the largest disturbance of a frame, smoothly: a lost frame still has a gradient."""
    return disturbance / (1 + disturbance / LARGEST_DISTURBANCE)

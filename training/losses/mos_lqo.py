"""The score that P.862.2 (wide-band PESQ) would give, as a loss that follows it closely.

After ITU-T P.862 and P.862.2: equalisation of the clean speech towards the estimate and of the estimate's gain from
frame to frame, loudness by Bark band, masked differences, added noise counted more than loss, the sixth power over
320 ms and the second over these. What differs: no alignment in time, no search for bad intervals, bands and threshold
by closed formulas (see `training.losses.disturbance`), a smooth limit of a frame's disturbance, and weights of the two
disturbances fitted to all that: on noisy and enhanced speech the correlation with P.862.2 is 0.97.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses.disturbance import (
    EPSILON,
    LARGEST_DISTURBANCE,
    MASKED_SHARE,
    SPEECH_LEVEL_DB,
    SPEECH_RANGE_DB,
    asymmetry,
    bark_bands,
    loudness,
    power_spectrum,
)

BEST_SCORE = 4.644
BARK_RANGE = 21.8
SYMMETRIC_WEIGHT = 0.17
ASYMMETRIC_WEIGHT = 0.058
EQUALISED_BAND_POWER = 1e3  # added before dividing: what is silent is not equalised
EQUALISED_FRAME_POWER = 5e3
EQUALISED_DB = 20.0
FRAME_GAIN = (3e-4, 5.0)
GAIN_MEMORY = (0.0064, 0.032, 0.16, 0.8)  # of four frames, the last one is now: 0.2 of the old, 0.8 of the new
SPLIT_FRAMES = 20  # 320 ms


def mos_lqo(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the scores (B,) of (B, T) at 16 kHz, 1.0 to 4.64; the best where the clean speech is silent."""
    weights, threshold = bark_bands(clean.device)
    of_clean, of_estimate = power_spectrum(clean), power_spectrum(estimate)
    frame_power = of_clean.sum(1, keepdim=True)
    is_speech = (frame_power > frame_power.amax(-1, keepdim=True) * 10 ** (-SPEECH_RANGE_DB / 10)).float()  # (B, 1, N)
    p_clean, p_estimate = (weights @ _at_listening_level(power, is_speech) for power in (of_clean, of_estimate))
    p_clean = p_clean * _transfer(p_clean, p_estimate, is_speech)
    p_estimate = p_estimate * _frame_gain(p_clean, p_estimate)

    l_clean, l_estimate = loudness(p_clean, threshold), loudness(p_estimate, threshold)
    heard = ((l_estimate - l_clean).abs() - MASKED_SHARE * torch.minimum(l_clean, l_estimate)).clamp(min=0)
    band = BARK_RANGE / len(threshold)  # width in Bark
    symmetric = ((heard * band).square().sum(1) * BARK_RANGE + EPSILON).sqrt()
    asymmetric = (heard * asymmetry(p_estimate, p_clean)).sum(1) * band
    strength = ((p_clean.sum(1) + 1e5) / 1e7) ** 0.04  # frames of loud speech count less
    raw = (
        4.5
        - SYMMETRIC_WEIGHT * _norm_over_time(symmetric / strength)
        - ASYMMETRIC_WEIGHT * _norm_over_time(asymmetric / strength)
    )
    score = 0.999 + 4 * torch.sigmoid(1.3669 * raw - 3.8224)  # P.862.2
    return torch.where(is_speech.any(-1).squeeze(1), score, BEST_SCORE)


def mos_lqo_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return what the scores of (B, T) at 16 kHz lack to the best, 0 to 3.64, in the mean."""
    return (BEST_SCORE - mos_lqo(estimate, clean)).mean()


def _at_listening_level(power: Tensor, is_speech: Tensor) -> Tensor:
    """Return the power (B, F, N) as it is where the frames of speech have 79 dB SPL in the mean."""
    level = (power * is_speech).sum((1, 2), keepdim=True) / is_speech.sum((1, 2), keepdim=True).clamp(min=1)
    return power * (10 ** (SPEECH_LEVEL_DB / 10) / level.clamp(min=EPSILON))


def _transfer(p_clean: Tensor, p_estimate: Tensor, is_speech: Tensor) -> Tensor:
    """Return how the estimate's bands (B, 48, 1) stand to the clean ones over all speech, within 20 dB."""
    of_clean, of_estimate = ((power * is_speech).sum(-1, keepdim=True) for power in (p_clean, p_estimate))
    limit = 10 ** (EQUALISED_DB / 10)
    ratio: Tensor = (of_estimate + EQUALISED_BAND_POWER) / (of_clean + EQUALISED_BAND_POWER)
    return ratio.clamp(1 / limit, limit)


def _frame_gain(p_clean: Tensor, p_estimate: Tensor) -> Tensor:
    """Return the gain (B, 1, N) that brings each frame of the estimate to the clean one's power, slowly."""
    of_clean, of_estimate = (power.sum(1, keepdim=True) for power in (p_clean, p_estimate))
    gain = (of_clean + EQUALISED_FRAME_POWER) / (of_estimate + EQUALISED_FRAME_POWER)
    kernel = torch.tensor(GAIN_MEMORY, device=gain.device).expand(1, 1, -1)
    before = F.pad(gain, (len(GAIN_MEMORY) - 1, 0), value=1.0)
    return F.conv1d(before, kernel / kernel.sum()).clamp(*FRAME_GAIN)


def _norm_over_time(disturbance: Tensor) -> Tensor:
    """Return the norm (B,) of (B, N): the sixth power within overlapping splits, the second over them."""
    # Smooth: a frame that is lost altogether has a gradient still.
    limited = LARGEST_DISTURBANCE * torch.tanh(disturbance / LARGEST_DISTURBANCE)
    long_enough = limited.shape[-1] >= SPLIT_FRAMES
    splits = limited.unfold(-1, SPLIT_FRAMES, SPLIT_FRAMES // 2) if long_enough else limited.unsqueeze(1)
    of_split = (splits.pow(6).mean(-1) + EPSILON).pow(1 / 6)
    return of_split.square().mean(-1).sqrt()

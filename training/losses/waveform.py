"""Losses on samples: L1, SNR and SI-SDR. Estimate and clean are (B, T); the result is a scalar."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8
SNR_FLOOR = 1e-3  # of the clean energy: beyond 30 dB an example has little left to teach


def l1_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference."""
    return (estimate - clean).abs().mean()


def snr_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the negative SNR in dB, mean over the batch, levelling off at 30 dB.

    Unlike SI-SDR it keeps the level: a scaled estimate is a worse one.
    """
    energy = clean.square().sum(-1)
    error = (estimate - clean).square().sum(-1)
    return 10 * torch.log10((error + SNR_FLOOR * energy + EPSILON) / (energy + EPSILON)).mean()


def si_sdr_db(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the scale-invariant SDR (B,) in dB, both signals made zero-mean over time.

    Le Roux et al., "SDR: half-baked or well done?", ICASSP 2019.
    """
    estimate = estimate - estimate.mean(-1, keepdim=True)
    clean = clean - clean.mean(-1, keepdim=True)
    scale = (estimate * clean).sum(-1, keepdim=True) / (clean.square().sum(-1, keepdim=True) + EPSILON)
    target = scale * clean
    error = (estimate - target).square().sum(-1)
    return 10 * torch.log10((target.square().sum(-1) + EPSILON) / (error + EPSILON))


def si_sdr_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the negative SI-SDR in dB, mean over the batch."""
    return -si_sdr_db(estimate, clean).mean()

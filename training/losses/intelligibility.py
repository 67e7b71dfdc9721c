"""The intelligibility loss: 1 - ESTOI, differentiable. Estimate and clean are (B, T) at 16 kHz.

Jensen and Taal, "An algorithm for predicting the intelligibility of speech masked by modulated noise maskers", 2016:
correlation of third-octave envelopes over 384 ms, normalised over time, then over bands. Two simplifications keep it a
loss: the spectrogram is taken at 16 kHz (the measure resamples to 10 kHz), and stretches without speech weigh less
instead of being cut out.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

SAMPLE_RATE = 16000
N_FFT = 512
WIN_LENGTH = 410  # 25.6 ms
HOP_LENGTH = 205  # 12.8 ms
SEGMENT_FRAMES = 30  # 384 ms
BANDS = 15  # third octaves
LOWEST_CENTRE_HZ = 150.0
SPEECH_RANGE_DB = 40.0  # frames further below the loudest hold no speech
EPSILON = 1e-8


@lru_cache(maxsize=4)
def _third_octave_bands(device: torch.device) -> Tensor:
    """Return (15, 257), 1 where a bin belongs to a band."""
    centres = LOWEST_CENTRE_HZ * 2 ** (torch.arange(BANDS, device=device) / 3)
    bins_hz = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, device=device)
    low, high = centres * 2 ** (-1 / 6), centres * 2 ** (1 / 6)
    return ((bins_hz >= low.unsqueeze(1)) & (bins_hz < high.unsqueeze(1))).float()


def _envelopes(wav: Tensor) -> Tensor:
    """Return the third-octave envelopes (B, 15, N)."""
    window = torch.hann_window(WIN_LENGTH, device=wav.device)
    power = torch.stft(wav, N_FFT, HOP_LENGTH, WIN_LENGTH, window=window, return_complex=True).abs().square()
    return (_third_octave_bands(wav.device) @ power + EPSILON).sqrt()


def _normalise(segments: Tensor, dim: int) -> Tensor:
    centred = segments - segments.mean(dim, keepdim=True)
    return centred / (centred.square().sum(dim, keepdim=True) + EPSILON).sqrt()


def estoi_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return 1 - ESTOI, a mean over the stretches of 384 ms weighted by the share of speech in them.

    0 for equal signals at any level; needs 384 ms of signal. Silent clean speech gives 0.
    """
    of_estimate, of_clean = _envelopes(estimate), _envelopes(clean)
    level_db = 10 * torch.log10(of_clean.square().sum(1) + EPSILON)  # (B, N)
    is_speech = (level_db > level_db.amax(-1, keepdim=True) - SPEECH_RANGE_DB).float()
    has_signal = (clean.abs().amax(-1, keepdim=True) > 0).float()
    weights = (is_speech * has_signal).unfold(-1, SEGMENT_FRAMES, 1).mean(-1)  # (B, S)
    first, second = (
        _normalise(_normalise(envelopes.unfold(-1, SEGMENT_FRAMES, 1), -1), 1) for envelopes in (of_estimate, of_clean)
    )  # (B, 15, S, 30)
    correlation = (first * second).sum(1).mean(-1)  # (B, S)
    return (weights * (1 - correlation)).sum() / (weights.sum() + EPSILON)

"""Resampling by two with the windowed-sinc filter that the causal Demucs weights were trained with.

The filter interpolates half-way between samples: 112 taps (56 zero crossings on each side) of a sinc under a Hann
window. Upsampling keeps the samples and inserts the interpolated ones; downsampling averages the even samples with the
odd ones shifted by half a (low-rate) sample. Neither has delay.

A one-channel convolution of 112 taps takes a slow path in PyTorch on a CPU. Here it is a product of overlapping rows of
the signal with a banded Toeplitz matrix: the same sums, as one matrix multiplication.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

ZERO_CROSSINGS = 56
TAPS = 2 * ZERO_CROSSINGS
HISTORY_SAMPLES = TAPS - 1
"""How many samples beyond the wanted ones `interpolate_half_sample` reads; what a streaming caller carries over."""

ROW_SAMPLES = 128
"""Outputs per matrix row: large enough to feed the multiplication, small enough that the band is not mostly zeros."""


def half_sample_kernel(dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
    """Return the (112,) taps: sinc(t) at t = -55.5 .. 55.5 times the odd samples of a 225-point Hann window."""
    t = torch.arange(TAPS, dtype=torch.float64) - (ZERO_CROSSINGS - 0.5)
    window = torch.hann_window(4 * ZERO_CROSSINGS + 1, periodic=False, dtype=torch.float64)[1::2]
    return (torch.sinc(t) * window).to(dtype=dtype, device=device)


@lru_cache(maxsize=8)
def _toeplitz(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the (ROW_SAMPLES + 111, ROW_SAMPLES) matrix whose column n holds the kernel in rows n .. n + 111."""
    # A tensor made in inference mode could not take part in training later, and the cache outlives the caller's mode.
    with torch.inference_mode(False), torch.no_grad():
        kernel = half_sample_kernel(dtype, device)
        matrix = torch.zeros(ROW_SAMPLES + HISTORY_SAMPLES, ROW_SAMPLES, dtype=dtype, device=device)
        columns = torch.arange(ROW_SAMPLES, device=device)
        for tap in range(TAPS):
            matrix[columns + tap, columns] = kernel[tap]
        return matrix


def interpolate_half_sample(wav: Tensor) -> Tensor:
    """Correlate `wav` (..., T + 111) with the half-sample kernel, valid part only: (..., T).

    Output n lies half-way between input samples n + 55 and n + 56. Fewer than 112 samples give an empty result.
    """
    length = max(0, wav.shape[-1] - HISTORY_SAMPLES)
    if length == 0:
        return wav[..., :0]
    rows = math.ceil(length / ROW_SAMPLES)
    padded = F.pad(wav, (0, rows * ROW_SAMPLES - length))
    frames = padded.unfold(-1, ROW_SAMPLES + HISTORY_SAMPLES, ROW_SAMPLES)  # (..., rows, ROW_SAMPLES + 111)
    return (frames @ _toeplitz(wav.dtype, wav.device)).flatten(-2)[..., :length]


def upsample2(wav: Tensor) -> Tensor:
    """Return `wav` (..., T) at twice the rate, (..., 2T): even outputs are the input, odd ones are interpolated.

    The signal counts as zero outside.
    """
    between = interpolate_half_sample(F.pad(wav, (ZERO_CROSSINGS - 1, ZERO_CROSSINGS)))
    return torch.stack((wav, between), dim=-1).flatten(-2)


def downsample2(wav: Tensor) -> Tensor:
    """Return `wav` (..., T) at half the rate, (..., ceil(T / 2)). An odd length is continued by one zero."""
    if wav.shape[-1] % 2:
        wav = F.pad(wav, (0, 1))
    even, odd = wav[..., ::2], wav[..., 1::2]
    return 0.5 * (even + interpolate_half_sample(F.pad(odd, (ZERO_CROSSINGS, ZERO_CROSSINGS - 1))))

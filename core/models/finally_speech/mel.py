"""The log-mel spectrogram that the generator hears, and the matrix that spreads mel bands over linear frequencies."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SAMPLE_RATE = 16000
N_FFT = 1024
HOP_LENGTH = 256
BINS = N_FFT // 2 + 1
MEL_BANDS = 80
HIGHEST_HZ = 8000.0
MAGNITUDE_FLOOR = 1e-9  # added to the power
MEL_FLOOR = 1e-5

_LINEAR_HZ_PER_MEL = 200.0 / 3  # Slaney's scale: linear below 1 kHz
_LOG_START_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27  # per mel above it

Matrix = NDArray[np.float64]


def hz_to_mel(frequency_hz: float) -> float:
    """Return the place on Slaney's mel scale."""
    if frequency_hz < _LOG_START_HZ:
        return frequency_hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_START_HZ / _LINEAR_HZ_PER_MEL + np.log(frequency_hz / _LOG_START_HZ) / _LOG_STEP)


def mel_to_hz(mels: Matrix) -> Matrix:
    """Return frequencies in Hz of places on Slaney's mel scale."""
    start = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
    above = _LOG_START_HZ * np.exp(_LOG_STEP * (np.maximum(mels, start) - start))
    return np.where(mels < start, mels * _LINEAR_HZ_PER_MEL, above)


@lru_cache(maxsize=1)
def mel_filters() -> Matrix:
    """Return triangles (80, 513) of equal area over 0 to 8000 Hz."""
    edges_hz = mel_to_hz(np.linspace(hz_to_mel(0.0), hz_to_mel(HIGHEST_HZ), MEL_BANDS + 2))
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, BINS)
    widths = np.diff(edges_hz)
    distances = edges_hz[:, np.newaxis] - bins_hz
    rising = -distances[:-2] / widths[:-1, np.newaxis]
    falling = distances[2:] / widths[1:, np.newaxis]
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return np.maximum(0.0, np.minimum(rising, falling)) * area[:, np.newaxis]


@lru_cache(maxsize=1)
def mel_to_linear() -> Matrix:
    """Return triangles (513, 80) that interpolate mel bands over linear frequencies.

    Band r begins where its filter does, peaks where the next one begins and ends where the one after that begins; the
    last only rises.
    """
    filters = mel_filters()
    nodes = [int(np.flatnonzero(row)[0]) for row in filters]
    nodes.append(int(np.flatnonzero(filters[-1])[-1]) + 1)
    matrix = np.zeros((BINS, MEL_BANDS))
    for band in range(MEL_BANDS):
        start, peak = nodes[band], nodes[band + 1]
        matrix[start : peak + 1, band] = np.linspace(0, 1, peak - start + 1)
        if band + 2 < len(nodes):
            end = nodes[band + 2]
            matrix[peak : end + 1, band] = np.linspace(1, 0, end - peak + 1)
    return matrix


class LogMel(nn.Module):
    """(B, T) at 16 kHz -> (B, 80, T / 256), natural logarithms of mel magnitudes; T is a multiple of 256, not 256."""

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters()).float(), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        edge = (N_FFT - HOP_LENGTH) // 2  # frames then stand over the middle of their hop
        padded = nn.functional.pad(wav.unsqueeze(1), (edge, edge), mode="reflect").squeeze(1)
        spectrum = torch.stft(padded, N_FFT, HOP_LENGTH, window=self.window, center=False, return_complex=True)
        magnitude = (spectrum.real.square() + spectrum.imag.square() + MAGNITUDE_FLOOR).sqrt()
        return (self.filters @ magnitude).clamp(min=MEL_FLOOR).log()

"""Pitch and tempo, changed independently by a phase vocoder: for augmentation, where transients need not stay sharp."""

from __future__ import annotations

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

WINDOW_MS = 46.0  # two periods of a voice of 43 Hz; resolves the partials of speech and of music
OVERLAP = 4


def time_stretch(wav: FloatArray, factor: float, *, sample_rate: int) -> FloatArray:
    """Return `wav` (..., T) played `factor` times as fast at its own pitch: (..., round(T / factor)).

    A phase vocoder (Flanagan and Golden, 1966; Laroche and Dolson, 1999). The advance of each bin's phase over one hop
    of the output is measured between two frames of the input that lie exactly one hop apart, so nothing is unwrapped.
    Frames keep their place: what was at t comes at t / factor.
    """
    samples = round(wav.shape[-1] / factor)
    if factor == 1 or wav.shape[-1] == 0:
        return wav
    window_samples = 2 * round(WINDOW_MS * 1e-3 * sample_rate / 2)
    hop = window_samples // OVERLAP
    window = np.hanning(window_samples + 1)[:-1].astype(np.float32)
    frames = samples // hop + 2
    starts = np.round(np.arange(frames) * hop * factor).astype(np.int64)
    before = window_samples // 2 + hop
    after = max(0, int(starts[-1]) + window_samples // 2 - wav.shape[-1])
    padded = np.pad(wav, [(0, 0)] * (wav.ndim - 1) + [(before, after)])
    every_frame = np.lib.stride_tricks.sliding_window_view(padded, window_samples, axis=-1)
    earlier = np.fft.rfft(every_frame[..., starts, :] * window)
    current = np.fft.rfft(every_frame[..., starts + hop, :] * window)
    advance = np.angle(current) - np.angle(earlier)
    advance[..., 0, :] = np.angle(current[..., 0, :])
    spectrogram = np.abs(current) * np.exp(1j * np.cumsum(advance, axis=-2))
    flat = torch.from_numpy(spectrogram.astype(np.complex64).reshape(-1, *spectrogram.shape[-2:]))
    stretched = torch.istft(
        flat.transpose(-1, -2), window_samples, hop, window=torch.from_numpy(window), center=True, length=samples
    )
    return stretched.reshape(*wav.shape[:-1], samples).numpy()


def change_pitch_and_tempo(
    wav: FloatArray, *, semitones: float = 0.0, tempo: float = 1.0, sample_rate: int
) -> FloatArray:
    """Return `wav` (..., T) higher by `semitones` and `tempo` times as fast: (..., about T / tempo).

    Resampling moves both together, and a time stretch takes the tempo to where it belongs.
    """
    ratio = 2 ** (semitones / 12)
    if ratio != 1 and wav.shape[-1]:
        columns = wav.reshape(-1, wav.shape[-1]).T
        resampled = soxr.resample(columns, ratio, 1.0, quality="MQ").T
        wav = np.ascontiguousarray(resampled, np.float32).reshape(*wav.shape[:-1], -1)
    return time_stretch(wav, tempo / ratio, sample_rate=sample_rate)

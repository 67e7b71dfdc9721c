"""The recording that the benchmarks use: the bundled noisy speech again and again, at any rate and length."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from core.enhancement.protocol import SignalStatistics

FloatArray = NDArray[np.float32]


def noisy_speech(seconds: float, *, sample_rate: int, channels: int = 1) -> FloatArray:
    """Noisy speech (C, T) of that length; further channels hold it a quarter of a second later each."""
    with importlib.resources.as_file(importlib.resources.files("cli.recordings") / "noisy.flac") as bundled:
        mono, bundled_rate = soundfile.read(bundled, dtype="float32")
    repeated = np.resize(soxr.resample(mono, bundled_rate, sample_rate), round(seconds * sample_rate))
    return np.stack([np.roll(repeated, channel * sample_rate // 4) for channel in range(channels)])


def write_recording(path: Path, wav: FloatArray, sample_rate: int) -> None:
    """Store `wav` (C, T) as a 16-bit WAV."""
    soundfile.write(path, wav.T, sample_rate, subtype="PCM_16")


def statistics_of(wav: FloatArray) -> SignalStatistics:
    """What the pipeline's first step would say of `wav` (C, T) as one channel group."""
    mono = wav.mean(axis=0, dtype=np.float64)
    return SignalStatistics(
        samples=wav.shape[1], mean=float(mono.mean()), std=float(mono.std(ddof=1)), peak=float(np.abs(mono).max())
    )

"""Recordings that the tests make for themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16_000


def write_noisy_tone(path: Path, *, duration_s: float, sample_rate: int = SAMPLE_RATE) -> Path:
    """A tone that comes and goes, in steady noise; the same for the same arguments."""
    time_s = np.arange(round(duration_s * sample_rate)) / sample_rate
    tone = 0.3 * np.sin(2 * np.pi * 220 * time_s) * (np.sin(2 * np.pi * 0.7 * time_s) > 0)
    noise = np.random.default_rng(0).normal(scale=0.02, size=len(time_s))
    soundfile.write(path, tone + noise, sample_rate, subtype="PCM_16")
    return path


def write_large_recording(path: Path) -> Path:
    """18.4 MB that are only 48 s: an upload of two parts, and a job of some seconds."""
    one = np.random.default_rng(1).normal(scale=0.02, size=48_000) + 0.2 * np.sin(np.arange(48_000) / 20)
    with soundfile.SoundFile(path, "w", 48_000, 1, "DOUBLE") as file:
        for _ in range(48):
            file.write(one)
    return path

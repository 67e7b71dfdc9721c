"""Tracks of tones and noise, and a network small enough to learn them, for the tests of separation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from training.separation.recipe import SeparationRecipe

SAMPLE_RATE = 8000
SOURCES: dict[str, tuple[str, ...]] = {"drums": ("drums*",), "other": ("*",)}
SMALL_NETWORK = {"channels": 8, "nfft": 2048, "t_layers": 1, "t_heads": 2, "dconv_depth": 1}


def drums(seconds: float, *, seed: int = 0) -> np.ndarray:
    """Noise bursts, four a second: (T, 2)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return 0.3 * rng.standard_normal((len(time_s), 2)) * np.exp(-30 * (time_s % 0.25))[:, np.newaxis]


def organ(seconds: float, *, frequency_hz: float = 220.0) -> np.ndarray:
    """A steady tone and its octave: (T, 2)."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wav = 0.2 * np.sin(2 * np.pi * frequency_hz * time_s) + 0.1 * np.sin(4 * np.pi * frequency_hz * time_s)
    return np.stack([wav, 0.5 * wav], axis=-1)


def write_track(folder: Path, stems: dict[str, np.ndarray], *, sample_rate: int = SAMPLE_RATE) -> None:
    """Write a track of the named stems (T, C), and the mixture that is to be left out."""
    folder.mkdir(parents=True, exist_ok=True)
    longest = max(len(wav) for wav in stems.values())
    mixture = np.zeros((longest, 2))
    for name, wav in stems.items():
        sf.write(folder / f"{name}.wav", wav, sample_rate, subtype="FLOAT")
        mixture[: len(wav)] += wav if wav.ndim == 2 else wav[:, np.newaxis]
    sf.write(folder / "mixture.wav", mixture, sample_rate, subtype="FLOAT")


def write_tracks(root: Path, *, count: int = 2, seconds: float = 2.0) -> Path:
    """Write tracks that differ in the drums' noise and the organ's pitch."""
    for number in range(count):
        organ_wav = organ(seconds, frequency_hz=220.0 * (1 + number / 5))
        write_track(root / f"track{number}", {"drums": drums(seconds, seed=number), "organ": organ_wav})
    return root


def small_recipe(root: Path, **changes: Any) -> SeparationRecipe:  # noqa: ANN401 - any setting of a section
    """Return a recipe for the tracks below `root`; `changes` has settings by section."""
    record: dict[str, Any] = {
        "task": "separation",
        "description": "tones and noise",
        "system": {"name": "small", "arguments": SMALL_NETWORK, "sample_rate": SAMPLE_RATE},
        "stems": {"root": root, "sources": SOURCES},
        "mix": {"segment_s": 1.0},
        "losses": {"l1": 1.0},
        "optimiser": {"learning_rate": 3e-3, "schedule": "constant", "weight_decay": 0.0},
        "loop": {"steps": 2, "batch_size": 1, "validate_every": 100, "log_every": 1, "select_by": "sdr_db"},
        "validation": {"examples": 1, "segment_s": 1.0},
    }
    for section, settings in changes.items():
        record[section] = record[section] | settings
    return SeparationRecipe.model_validate(record)

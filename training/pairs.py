"""Recordings to measure on: noisy files with their clean references, or without."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from core.errors import InvalidAudio, InvalidOptions
from training.datasets import AUDIO_SUFFIXES, FloatArray


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One noisy recording; `clean` is None where there is no reference, `snr_db` where it is not known."""

    name: str
    noisy: Path
    clean: Path | None
    kind: str = "pair"
    snr_db: float | None = None


def read_pairs(root: Path) -> list[Pair]:
    """Return the recordings of a folder: by `pairs` and `real` of its manifest.json, else noisy/ with clean/ beside it.

    Without either, every audio file of the folder is a recording without reference.
    """
    manifest = root / "manifest.json"
    pairs = _from_manifest(manifest) if manifest.is_file() else _from_folders(root)
    if not pairs:
        raise InvalidOptions("The data folder holds no recordings: expected manifest.json, noisy/ and clean/, or files")
    return pairs


def _from_manifest(manifest: Path) -> list[Pair]:
    record = json.loads(manifest.read_bytes())
    root = manifest.parent
    if not isinstance(record, dict):
        raise InvalidOptions('The manifest holds no pairs: expected {"pairs": [...], "real": [...]}')
    pairs = [
        Pair(
            name=item["id"],
            noisy=root / item["noisy"],
            clean=root / item["clean"],
            kind=item.get("kind", "pair"),
            snr_db=item.get("snr"),
        )
        for item in record.get("pairs", [])
    ]
    singles = [
        Pair(name=Path(item["file"]).stem, noisy=root / item["file"], clean=None, kind="real")
        for item in record.get("real", [])
    ]
    return pairs + singles


def _from_folders(root: Path) -> list[Pair]:
    folder = root / "noisy" if (root / "noisy").is_dir() else root
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    pairs = []
    for path in found:
        clean = root / "clean" / path.name
        pairs.append(Pair(name=path.stem, noisy=path, clean=clean if clean.is_file() else None))
    return pairs


def read_mono(path: Path, *, sample_rate: int) -> FloatArray:
    """Return the recording (T,) as mono at `sample_rate`."""
    try:
        wav, rate = sf.read(path, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise InvalidAudio(f"The recording {path.name!r} cannot be decoded") from error
    mono = wav.mean(axis=1)
    return np.asarray(mono if rate == sample_rate else soxr.resample(mono, rate, sample_rate), dtype=np.float32)

"""Tracks as folders of stems: found, assigned to the sources of a network, and decoded once into a cache."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from core.atomic_files import write_atomically
from core.errors import InvalidAudio, InvalidOptions
from training.datasets import AUDIO_SUFFIXES, FloatArray

logger = logging.getLogger(__name__)

CHANNELS = 2
PCM16_FULL_SCALE = 32767.0
REST = "*"


@dataclass(frozen=True, kw_only=True)
class Track:
    """The files of each source of a track, in the order of the sources; any of them may be without."""

    name: str
    files: tuple[tuple[Path, ...], ...]


def find_tracks(
    root: Path, sources: Mapping[str, Sequence[str]], *, ignored: Sequence[str] = ("mix", "mixture")
) -> list[Track]:
    """Return the tracks below `root` by name: every folder that holds audio, `root` included.

    `sources` has the patterns of each source, see StemsSection. InvalidOptions when there is none, or when a track has
    files of no more than one source.
    """
    folders = [root, *(path for path in sorted(root.rglob("*")) if path.is_dir())]
    tracks = []
    for folder in folders:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
        assigned: dict[str, list[Path]] = {source: [] for source in sources}
        for file in files:
            source = _source_of(file.stem, sources, ignored=ignored)
            if source is not None:
                assigned[source].append(file)
        if sum(bool(found) for found in assigned.values()) >= 2:
            name = folder.name if folder == root else str(folder.relative_to(root))
            tracks.append(Track(name=name, files=tuple(tuple(found) for found in assigned.values())))
    if not tracks:
        raise InvalidOptions(
            f"No folder holds files of two of the sources {', '.join(sources)}: expected TRACK/SOURCE.wav, .flac, ..."
        )
    return tracks


def _source_of(name: str, sources: Mapping[str, Sequence[str]], *, ignored: Sequence[str]) -> str | None:
    if any(fnmatch.fnmatch(name, pattern) for pattern in ignored):
        return None
    for source, patterns in sources.items():
        if any(pattern != REST and fnmatch.fnmatch(name, pattern) for pattern in patterns):
            return source
    return next((source for source, patterns in sources.items() if REST in patterns), None)


class StemPool:
    """Decoded tracks, which stay on disk; by index 0 .. len - 1. `durations` are their lengths in samples."""

    def __init__(self, tracks: Sequence[tuple[NDArray[np.int16], FloatArray]]) -> None:
        self._tracks = tuple(tracks)
        self.durations = np.array([len(samples) for samples, _ in tracks], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._tracks)

    def read(self, index: int, *, start: int = 0, length: int | None = None) -> FloatArray:
        """Return the sources (S, 2, T) of a track; fewer than `length` samples when it ends before."""
        samples, scale = self._tracks[index]
        stop = len(samples) if length is None else start + length
        stems = samples[start:stop].astype(np.float32) * (scale / np.float32(PCM16_FULL_SCALE))[:, np.newaxis]
        return np.ascontiguousarray(np.moveaxis(stems, 0, -1))


def load_tracks(tracks: Sequence[Track], *, sample_rate: int, cache: Path) -> StemPool:
    """Return the pool of `tracks` in stereo at `sample_rate`; decoded on the first call, memory-mapped after that."""
    return StemPool([_load_track(track, sample_rate=sample_rate, cache=cache) for track in tracks])


def _load_track(track: Track, *, sample_rate: int, cache: Path) -> tuple[NDArray[np.int16], FloatArray]:
    listing = json.dumps([sample_rate, [[str(path) for path in files] for files in track.files]])
    stem = cache / hashlib.sha256(listing.encode()).hexdigest()[:16]
    index = stem.with_suffix(".json")
    if not index.is_file():
        logger.info("decoding_track", extra={"track": track.name})
        stems = read_stems(track, sample_rate=sample_rate)
        scale = np.maximum(1.0, np.abs(stems).max(axis=(1, 2)))  # sums of files may exceed full scale
        cache.mkdir(parents=True, exist_ok=True)
        scaled = np.moveaxis(stems / scale[:, np.newaxis, np.newaxis], -1, 0) * PCM16_FULL_SCALE
        np.round(scaled).astype(np.int16).tofile(stem.with_suffix(".pcm16"))
        # The index commits the samples, so it is written last.
        write_atomically(index, json.dumps(scale.tolist()).encode())
    samples = np.memmap(stem.with_suffix(".pcm16"), dtype=np.int16, mode="r")
    return samples.reshape(-1, len(track.files), CHANNELS), np.array(json.loads(index.read_bytes()), dtype=np.float32)


def read_stems(track: Track, *, sample_rate: int) -> FloatArray:
    """Return the sources (S, 2, T) of a track; what is shorter than the longest file ends in silence."""
    decoded = [[_decode(path, sample_rate=sample_rate) for path in files] for files in track.files]
    samples = max(wav.shape[-1] for group in decoded for wav in group)
    stems = np.zeros((len(track.files), CHANNELS, samples), dtype=np.float32)
    for stem, group in zip(stems, decoded, strict=True):
        for wav in group:
            stem[:, : wav.shape[-1]] += wav
    return stems


def _decode(path: Path, *, sample_rate: int) -> FloatArray:
    try:
        wav, rate = sf.read(path, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise InvalidAudio(f"The stem {path.name!r} of the track {path.parent.name!r} cannot be decoded") from error
    if wav.shape[1] > CHANNELS:
        raise InvalidAudio(f"The stem {path.name!r} of the track {path.parent.name!r} has {wav.shape[1]} channels")
    if rate != sample_rate:
        wav = soxr.resample(wav, rate, sample_rate)
    # One channel stands for both.
    return np.ascontiguousarray(np.broadcast_to(wav.T, (CHANNELS, len(wav))), dtype=np.float32)

"""Clips of clean speech, noise, music and impulse responses: listing, splitting, and decoding once into a cache."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from core.atomic_files import write_atomically
from core.errors import InvalidAudio, InvalidOptions

logger = logging.getLogger(__name__)

Kind = Literal["speech", "noise", "music", "effects", "rir"]
Split = Literal["train", "validation", "test"]
FloatArray = NDArray[np.float32]

AUDIO_SUFFIXES = frozenset({".flac", ".ogg", ".opus", ".wav", ".mp3"})
PCM16_FULL_SCALE = 32767.0


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One audio file. `unit` is what must not be torn apart by a split: the speaker, or else the source clip."""

    file: str  # relative to the corpus
    kind: Kind
    unit: str


def list_clips(root: Path) -> list[Clip]:
    """Return the clips of a corpus: by its `manifest.json`, else by folders named after the kinds.

    A clip that the manifest lists more than once (same kind, source and name) is taken once, in its longest form.
    """
    manifest = root / "manifest.json"
    clips = _from_manifest(manifest) if manifest.is_file() else _from_folders(root)
    if not clips:
        raise InvalidOptions(
            f"The corpus holds no clips: expected manifest.json or folders {', '.join(get_args(Kind))}"
        )
    return sorted(clips, key=lambda clip: clip.file)


def _from_manifest(manifest: Path) -> list[Clip]:
    longest: dict[tuple[str, str, str], dict[str, object]] = {}
    speakers: defaultdict[str, set[str]] = defaultdict(set)
    for record in json.loads(manifest.read_bytes()):
        source = str(record.get("source", ""))
        key = (record["kind"], source, Path(record["file"]).stem)
        if key not in longest or record["seconds"] > longest[key]["seconds"]:
            longest[key] = record
        if "speaker" in record:
            speakers[source].add(record["speaker"])
    clips = []
    for (kind, source, name), record in longest.items():
        # A source with a single speaker would fall on one side of the split as a whole.
        unit = str(record["speaker"]) if len(speakers[source]) > 1 and "speaker" in record else name
        clips.append(Clip(file=str(record["file"]), kind=cast(Kind, kind), unit=f"{source}/{unit}"))
    return clips


def _from_folders(root: Path) -> list[Clip]:
    return [
        Clip(file=str(path.relative_to(root)), kind=kind, unit=str(path.relative_to(root)))
        for kind in get_args(Kind)
        for path in sorted((root / kind).rglob("*"))
        if path.suffix.lower() in AUDIO_SUFFIXES
    ]


def with_effects(clips: Iterable[Clip], *, sources: Collection[str]) -> list[Clip]:
    """Return `clips`, those noises that come from one of `sources` relabelled as sound effects."""
    return [
        replace(clip, kind="effects") if clip.kind == "noise" and clip.unit.partition("/")[0] in sources else clip
        for clip in clips
    ]


def split_of(unit: str, *, validation_fraction: float, test_fraction: float) -> Split:
    """Return the split of a unit: a fixed function of its name, so that adding clips moves no other."""
    position = int.from_bytes(hashlib.sha256(unit.encode()).digest()[:8]) / 2**64
    if position < validation_fraction:
        return "validation"
    return "test" if position < validation_fraction + test_fraction else "train"


class AudioPool:
    """Decoded clips of one kind, as slices of one int16 array that stays on disk.

    Clips come by index 0 .. len - 1; `durations` are their lengths in samples, `files` their names in the corpus.
    """

    def __init__(
        self, samples: NDArray[np.int16], bounds: Sequence[tuple[int, int]], *, files: Sequence[str] = ()
    ) -> None:
        self._samples = samples
        self.files = tuple(files)
        self._bounds = tuple(bounds)
        self.durations = np.array([stop - start for start, stop in bounds], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._bounds)

    def read(self, index: int, *, start: int = 0, length: int | None = None) -> FloatArray:
        """Return (T,) float32 in -1..1; fewer than `length` samples when the clip ends before."""
        first, last = self._bounds[index]
        stop = last if length is None else min(last, first + start + length)
        return self._samples[first + start : stop].astype(np.float32) / PCM16_FULL_SCALE


def load_pools(root: Path, clips: Iterable[Clip], *, sample_rate: int, cache: Path) -> dict[Kind, AudioPool]:
    """Return the pools of `clips`, mono at `sample_rate`; decoded on the first call, memory-mapped after that."""
    by_kind: defaultdict[Kind, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_kind[clip.kind].append(clip)
    return {kind: _load_pool(root, group, sample_rate=sample_rate, cache=cache) for kind, group in by_kind.items()}


def _load_pool(root: Path, clips: Sequence[Clip], *, sample_rate: int, cache: Path) -> AudioPool:
    listing = json.dumps([sample_rate, str(root), [clip.file for clip in clips]])
    stem = cache / f"{clips[0].kind}-{hashlib.sha256(listing.encode()).hexdigest()[:16]}"
    index_path = stem.with_suffix(".json")
    if not index_path.is_file():
        logger.info("decoding_clips", extra={"kind": clips[0].kind, "clips": len(clips)})
        decoded = [_decode(root / clip.file, sample_rate=sample_rate) for clip in clips]
        cache.mkdir(parents=True, exist_ok=True)
        np.concatenate(decoded).tofile(stem.with_suffix(".pcm16"))
        stops = np.cumsum([len(wav) for wav in decoded]).tolist()
        # The index commits the samples, so it is written last.
        write_atomically(index_path, json.dumps(list(zip([0, *stops[:-1]], stops, strict=True))).encode())
    samples = np.memmap(stem.with_suffix(".pcm16"), dtype=np.int16, mode="r")
    return AudioPool(samples, json.loads(index_path.read_bytes()), files=[clip.file for clip in clips])


def _decode(path: Path, *, sample_rate: int) -> NDArray[np.int16]:
    try:
        wav, rate = sf.read(path, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise InvalidAudio(f"The training clip {path.name!r} cannot be decoded") from error
    mono: FloatArray = wav.mean(axis=1)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate)
    return np.round(np.clip(mono, -1.0, 1.0) * PCM16_FULL_SCALE).astype(np.int16)

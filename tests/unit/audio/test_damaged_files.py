"""Damaged files of every format: sound, a warning or a refusal, and never anything else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.decode import AudioReader
from core.audio.formats import OUTPUT_FORMATS
from core.audio.source import Source
from core.audio.tags import read_tags
from core.errors import InvalidAudio, UnsupportedMedia
from tests.unit.audio.signals import band_limited_noise, encode_with_ffmpeg, write_file

RATE = 16_000
FRAMES = 5 * RATE  # several OGG pages, of which one can be lost


def make_file(path: Path, format: str) -> bytes:
    wav = band_limited_noise(FRAMES, RATE)
    if format in OUTPUT_FORMATS:
        return write_file(path.with_suffix(f".{format}"), wav, sample_rate=RATE).read_bytes()
    if format in ("aiff", "w64", "caf"):
        soundfile.write(path, wav.T, RATE, format=format.upper())
        return path.read_bytes()
    codec = {"webm": "libopus"}.get(format, "aac")
    encode_with_ffmpeg(path, wav, muxer=format, codec=codec, sample_rate=RATE, layout="mono", options={})
    return path.read_bytes()


def damage(content: bytes, generator: np.random.Generator) -> bytes:
    """Return `content` cut off, with a hole, or with bytes overwritten in its header or anywhere."""
    damaged = bytearray(content)
    kind = generator.integers(4)
    if kind == 0:
        return bytes(damaged[: generator.integers(len(damaged))])
    if kind == 1:
        start = int(generator.integers(len(damaged)))
        del damaged[start : start + int(generator.integers(1, 2_000))]
        return bytes(damaged)
    reach = min(len(damaged), 300) if kind == 2 else len(damaged)
    for position in generator.integers(reach, size=generator.integers(1, 30)):
        damaged[position] = generator.integers(256)
    return bytes(damaged)


@pytest.mark.parametrize("format", [*OUTPUT_FORMATS, "aiff", "w64", "caf", "adts", "webm", "matroska", "mpegts", "mov"])
def test_damaged_file_is_read_in_part_or_refused(tmp_path: Path, format: str) -> None:
    content = make_file(tmp_path / "whole", format)
    generator = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}

    for _ in range(20):
        damaged = damage(content, generator)
        read_tags(io.BytesIO(damaged))
        try:
            with AudioReader(io.BytesIO(damaged)) as reader:
                assert all(np.isfinite(block).all() for block in reader.blocks())
            outcomes["read"] += 1
        except (InvalidAudio, UnsupportedMedia):
            outcomes["refused"] += 1

    assert sum(outcomes.values()) == 20
    assert outcomes["read"] > 0


@pytest.mark.parametrize(("offset", "whence"), [(-1, 0), (-10, 1), (-10, 2), (2**63, 0), (0, 65_536)])
def test_seek_to_no_place_is_refused_without_blaming_the_source(offset: int, whence: int) -> None:
    source = Source(io.BytesIO(b"abc"))

    assert source.seek(offset, whence) == -1
    source.raise_failure()
    assert source.read_at(1, 5) == b"bc"


def test_first_failure_of_a_source_is_kept_and_raised_later() -> None:
    class FailingFile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionError("the store does not answer")

    source = Source(FailingFile(b"abc"))

    assert source.read(3) == b""
    assert source.seek(1) == -1
    with pytest.raises(ConnectionError):
        source.raise_failure()

"""Files that end too early say so, with both durations where the format states one."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from core.audio.decode import AudioReader
from core.audio.mpeg_frames import frame_bytes
from tests.unit.api.recordings import encode, noise

RATE = 44_100


def warning_of(data: bytes) -> str | None:
    with AudioReader(io.BytesIO(data)) as reader:
        for _ in reader.blocks():
            pass
        return reader.warning


def bare_mp3(sample_rate: int = RATE) -> bytes:
    """An MP3 without the frame that states its length, as streams and old encoders leave it."""
    data = encode(noise(1.0, sample_rate), sample_rate, format="MP3")
    size = frame_bytes(data[:4])
    assert size is not None
    assert b"Xing" in data[:size] or b"Info" in data[:size]
    return data[size:]


@pytest.mark.parametrize(
    ("format", "subtype"), [("W64", "PCM_16"), ("W64", "PCM_24"), ("W64", "FLOAT"), ("AU", "PCM_16")]
)
def test_header_with_more_frames_than_the_file_is_told_with_both_durations(format: str, subtype: str) -> None:
    whole = encode(noise(2.0, RATE, 2), RATE, format=format, subtype=subtype)

    assert warning_of(whole) is None
    assert "1.00 s of the 2.00 s that it declares" in str(warning_of(whole[: len(whole) // 2]))


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "MS_ADPCM", "IMA_ADPCM", "GSM610"])
def test_compressed_wav_is_told_with_both_durations(subtype: str) -> None:
    whole = encode(noise(2.0, 8_000), 8_000, format="WAV", subtype=subtype)

    assert warning_of(whole) is None
    assert re.search(r"(0\.9\d|1\.0\d) s of the 2\.\d\d s that it declares", str(warning_of(whole[: len(whole) // 2])))


def test_au_of_unknown_length_is_no_cut_file() -> None:
    whole = encode(noise(0.5, RATE), RATE, format="AU", subtype="PCM_16")

    assert warning_of(whole[:8] + b"\xff\xff\xff\xff" + whole[12:]) is None


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 44_100, 48_000])
def test_mp3_without_a_length_is_whole_when_its_last_frame_is(sample_rate: int) -> None:
    assert warning_of(bare_mp3(sample_rate)) is None
    assert warning_of(bare_mp3(sample_rate) + b"TAG" + bytes(125)) is None


@pytest.mark.parametrize("missing_bytes", [1, 10, 100])
def test_mp3_without_a_length_that_ends_within_a_frame_may_be_cut(missing_bytes: int) -> None:
    warning = warning_of(bare_mp3()[:-missing_bytes])

    assert warning is not None
    assert "may be cut short: its last frame" in warning


def test_other_data_after_the_last_frame_says_nothing() -> None:
    trailer = bytes(np.random.default_rng(1).integers(0, 128, 500, dtype=np.uint8))

    assert warning_of(bare_mp3() + b"APETAGEX" + trailer) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"\xff\xfb\x90\x00", 417),  # MPEG-1, 128 kb/s, 44.1 kHz
        (b"\xff\xfb\x92\x00", 418),  # with padding
        (b"\xff\xf3\x80\x00", 208),  # MPEG-2, 64 kb/s, 22.05 kHz
        (b"\xff\xfb\x00\x00", None),  # free format
        (b"\xff\xfd\x90\x00", None),  # layer II
        (b"\xff\xfb\x9c\x00", None),  # no such rate
        (b"RIFF", None),
        (b"\xff\xfb", None),
    ],
)
def test_frame_size_is_that_of_the_standard(header: bytes, size: int | None) -> None:
    assert frame_bytes(header) == size

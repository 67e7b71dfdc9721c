"""Cover pictures travel from file to file, and the sound beside them stays what it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import pytest

from core.audio import cover as cover_module
from core.audio import encode as encode_module
from core.audio.cover import Cover, read_cover
from core.audio.decode import AudioReader
from core.audio.encode import AudioWriter
from core.audio.ogg_pages import checksum, paginate, read_page
from core.audio.tags import read_tags
from tests.unit.audio.pictures_and_tracks import HEIGHT, WIDTH, make_cover

FRAMES = 48_000 + 17
TAGS = {"title": "Grüße", "artist": "Ω", "tracknumber": "3", "copyright": "© Wir"}


def encode(path: Path, format: str, cover: Cover | None, tags: dict[str, str] | None = None) -> Path:
    noise = 0.1 * np.random.default_rng(1).standard_normal((2, FRAMES))
    with AudioWriter(path, format, sample_rate=48_000, channels=2, tags=tags, cover=cover) as writer:
        writer.write(noise.astype(np.float32))
    return path


def decode(path: Path) -> np.ndarray:
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks()), axis=1)


@pytest.mark.parametrize("codec", ["mjpeg", "png"])
@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "m4a", "opus", "ogg"])
def test_cover_comes_back_byte_for_byte_beside_the_tags(tmp_path: Path, format: str, codec: str) -> None:
    cover = make_cover(codec)

    path = encode(tmp_path / f"x.{format}", format, cover, TAGS)

    assert read_cover(path) == cover
    assert read_tags(path) == TAGS
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "m4a", "opus", "ogg"])
def test_sound_is_the_same_with_a_cover(tmp_path: Path, format: str) -> None:
    bare = decode(encode(tmp_path / f"bare.{format}", format, None))
    covered = decode(encode(tmp_path / f"covered.{format}", format, make_cover()))

    assert np.array_equal(bare, covered)
    if format in ("wav", "flac", "opus", "ogg"):
        assert covered.shape == (2, FRAMES)


def test_file_with_a_cover_is_no_video(tmp_path: Path) -> None:
    with AudioReader(encode(tmp_path / "x.m4a", "m4a", make_cover())) as reader:
        assert reader.probe.media_type == "audio/mp4"


def test_cover_of_many_ogg_pages_is_kept(tmp_path: Path) -> None:
    small = make_cover("png")
    # What follows a PNG's last chunk belongs to the file and to no picture: decoders read past it.
    large = Cover(codec="png", data=small.data + bytes(300_000), width=WIDTH, height=HEIGHT)

    path = encode(tmp_path / "x.ogg", "ogg", large)

    assert read_cover(path) == large
    assert decode(path).shape == (2, FRAMES)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [FRAMES, FRAMES + 1])
def test_cover_in_a_wav_ends_its_last_chunk_where_the_header_says(tmp_path: Path, channels: int, frames: int) -> None:
    path = tmp_path / "x.wav"
    sound = np.full((channels, frames), 0.1, np.float32)

    with AudioWriter(
        path, "wav", sample_rate=48_000, channels=channels, subtype="PCM_24", tags=TAGS, cover=make_cover("png")
    ) as writer:
        writer.write(sound)

    data = path.read_bytes()
    assert int.from_bytes(data[4:8], "little") + 8 == len(data)
    assert chunks_of(data)[-1] == b"id3 "
    assert read_cover(path) == make_cover("png")
    assert decode(path).shape == sound.shape


def chunks_of(data: bytes, start: int = 12) -> list[bytes]:
    """The names of a RIFF file's chunks; the last must end where the data does."""
    names = []
    while start < len(data):
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        names.append(data[start : start + 4])
        start += 8 + size + size % 2
    assert start == len(data)
    return names


def test_cover_in_an_rf64_is_counted_by_its_64_bit_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_module, "MAX_RIFF_DATA_BYTES", 1_000)
    path = tmp_path / "x.wav"

    with AudioWriter(
        path, "wav", sample_rate=48_000, channels=1, frames=FRAMES, tags=TAGS, cover=make_cover()
    ) as writer:
        writer.write(np.full((1, FRAMES), 0.1, np.float32))

    data = path.read_bytes()
    assert (data[:4], data[12:16]) == (b"RF64", b"ds64")
    assert int.from_bytes(data[20:28], "little") + 8 == len(data)
    assert read_cover(path) == make_cover()
    assert read_tags(path) == TAGS
    assert decode(path).shape == (1, FRAMES)


def test_cover_beyond_the_limit_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "x.flac", "flac", make_cover())
    monkeypatch.setattr(cover_module, "MAX_COVER_BYTES", 100)

    assert read_cover(path) is None


def test_moving_picture_and_no_file_at_all_are_no_cover(tmp_path: Path) -> None:
    cover = make_cover("mjpeg")
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream("mjpeg", rate=25, width=WIDTH, height=HEIGHT)
        packet = av.Packet(cover.data)
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        container.mux(packet)
    (tmp_path / "text").write_bytes(b"no picture" * 100)

    assert read_cover(path) is None
    assert read_cover(tmp_path / "text") is None


def test_every_ogg_page_has_its_number_and_checksum(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.ogg", "ogg", make_cover("png"))

    data, position = path.read_bytes(), 0
    numbers = []
    with path.open("rb") as file:
        while (page := read_page(file)) is not None:
            numbers.append(page.sequence)
            size = len(page.encode())
            assert data[position : position + size] == page.encode()
            position += size

    assert numbers == list(range(len(numbers)))
    assert position == len(data)


def test_checksum_is_that_of_the_standard() -> None:
    def bit_by_bit(data: bytes) -> int:
        value = 0
        for byte in data:
            value ^= byte << 24
            for _ in range(8):
                value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        return value

    data = bytes(np.random.default_rng(2).integers(0, 256, 1000, dtype=np.uint8))

    assert checksum(data) == bit_by_bit(data)


@pytest.mark.parametrize("length", [0, 254, 255, 256, 255 * 255, 255 * 255 + 1, 200_000])
def test_packets_survive_being_cut_into_pages(length: int) -> None:
    packets = [bytes(length), b"setup"]

    pages = list(paginate(packets, serial=7, sequence=1))

    found, held = [], b""
    for page in pages:
        for piece, is_whole in page.packets():
            held += piece
            if is_whole:
                found.append(held)
                held = b""
    assert found == packets
    assert [page.sequence for page in pages] == list(range(1, len(pages) + 1))


@pytest.mark.parametrize("read", [read_tags, read_cover])
def test_facts_of_a_long_wav_are_read_from_its_ends(tmp_path: Path, read: Callable[[BinaryIO], object]) -> None:
    """FFmpeg otherwise looks through five megabytes of it for a codec that hides in the samples."""

    class CountingFile(io.BytesIO):
        bytes_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.bytes_read += len(data)
            return data

    path = tmp_path / "talk.wav"
    noise = 0.1 * np.random.default_rng(1).standard_normal((2, 30 * 48_000))
    with AudioWriter(path, "wav", sample_rate=48_000, channels=2, tags=TAGS) as writer:
        writer.write(noise.astype(np.float32))
    file = CountingFile(path.read_bytes())

    read(file)

    assert file.bytes_read < 1_000_000

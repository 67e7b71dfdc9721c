"""Probing: the facts of each format, few bytes read, and plain words for what is no audio."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from core.audio.formats import AudioProbe, default_subtype, sniff_container
from core.audio.probe import probe
from core.errors import InvalidAudio, UnsupportedMedia
from tests.unit.audio.signals import band_limited_noise, encode_with_ffmpeg, write_file


class CountingSource(io.BytesIO):
    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.bytes_read += len(content)
        return content


def riff(*, data: bytes = b"") -> bytes:
    layout = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    body = b"WAVE" + b"fmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("container", "subtype", "expected"),
    [
        ("WAV", "PCM_U8", ("wav", "pcm", "PCM_U8", False, "audio/wav")),
        ("WAV", "PCM_24", ("wav", "pcm", "PCM_24", False, "audio/wav")),
        ("WAV", "DOUBLE", ("wav", "pcm", "DOUBLE", False, "audio/wav")),
        ("WAV", "ULAW", ("wav", "ulaw", "ULAW", True, "audio/wav")),
        ("RF64", "FLOAT", ("rf64", "pcm", "FLOAT", False, "audio/wav")),
        ("AIFF", "PCM_16", ("aiff", "pcm", "PCM_16", False, "audio/aiff")),
        ("FLAC", "PCM_24", ("flac", "flac", "PCM_24", False, "audio/flac")),
        ("OGG", "VORBIS", ("ogg", "vorbis", "VORBIS", True, "audio/ogg")),
        ("OGG", "OPUS", ("ogg", "opus", "OPUS", True, "audio/ogg")),
    ],
)
def test_probe_states_what_libsndfile_knows(
    tmp_path: Path, container: str, subtype: str, expected: tuple[str, str, str, bool, str]
) -> None:
    soundfile.write(tmp_path / "file", np.zeros((12_000, 2)), 24_000, format=container, subtype=subtype)

    found = probe(tmp_path / "file")

    assert (found.format, found.codec, found.subtype, found.is_lossy, found.media_type) == expected
    assert (found.sample_rate, found.channels, found.frames, found.duration_s) == (24_000, 2, 12_000, 0.5)


@pytest.mark.parametrize(
    ("muxer", "codec", "expected"),
    [
        ("ipod", "aac", ("mp4", "aac", "AAC", True, "audio/mp4")),
        ("adts", "aac", ("aac", "aac", "AAC", True, "audio/aac")),
        ("mp3", "libmp3lame", ("mp3", "mp3", "MP3", True, "audio/mpeg")),
        ("webm", "libopus", ("webm", "opus", "OPUS", True, "audio/webm")),
        ("matroska", "flac", ("matroska", "flac", "PCM_16", False, "audio/x-matroska")),
        ("mov", "pcm_s24le", ("mp4", "pcm", "PCM_24", False, "audio/mp4")),
        ("mpegts", "aac", ("mpegts", "aac", "AAC", True, "video/mp2t")),
    ],
)
def test_probe_states_what_ffmpeg_knows(
    tmp_path: Path, muxer: str, codec: str, expected: tuple[str, str, str, bool, str]
) -> None:
    wav = band_limited_noise(48_000, 48_000, channels=2)
    path = encode_with_ffmpeg(
        tmp_path / "file", wav, muxer=muxer, codec=codec, sample_rate=48_000, layout="stereo", options={}
    )

    found = probe(path)

    assert (found.format, found.codec, found.subtype, found.is_lossy, found.media_type) == expected
    assert (found.sample_rate, found.channels) == (48_000, 2)
    assert found.duration_s == pytest.approx(1.0, abs=0.1)


def test_sound_track_of_a_video_is_found(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream("aac", rate=48_000, layout="stereo")
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 48_000), np.float32), format="flt", layout="stereo")
        frame.sample_rate = 48_000
        container.mux([*audio.encode(frame), *audio.encode(None), *video.encode(None)])

    found = probe(tmp_path / "clip.mp4")

    assert (found.format, found.codec, found.media_type) == ("mp4", "aac", "video/mp4")


def test_video_without_sound_is_invalid(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        container.mux([*video.encode(av.VideoFrame(32, 32, "yuv420p")), *video.encode(None)])

    with pytest.raises(InvalidAudio, match="holds no sound track"):
        probe(tmp_path / "mute.mp4")


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_a_long_file_object_is_probed_from_a_few_of_its_bytes_and_left_open(tmp_path: Path, ending: str) -> None:
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 20 * 44_100)).astype(np.float32)
    source = CountingSource(write_file(tmp_path / f"long.{ending}", wav, sample_rate=44_100).read_bytes())

    found = probe(source)

    assert found.duration_s == pytest.approx(20, abs=0.1)
    assert source.bytes_read < 200_000
    assert not source.closed


@pytest.mark.parametrize(
    "content",
    [
        b"Just some text, no sound in it.\n" * 100,
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(5_000),
        b"%PDF-1.7\n" + bytes(5_000),
        b"PK\x03\x04" + bytes(5_000),
        b"<!doctype html><html><body>hello</body></html>",
        b"x",
        np.random.default_rng(0).bytes(200_000),
    ],
    ids=["text", "jpeg", "pdf", "zip", "html", "one byte", "random"],
)
def test_what_is_no_audio_is_unsupported(content: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="is not audio that Limpid can read"):
        probe(io.BytesIO(content))


def test_empty_file_is_called_empty() -> None:
    with pytest.raises(UnsupportedMedia, match=r"“talk.wav” is empty \(0 bytes\)"):
        probe(io.BytesIO(b""), name="talk.wav")


@pytest.mark.parametrize("playlist", ["ffconcat version 1.0\nfile '{}'\n", "#EXTM3U\n#EXTINF:5,\n{}\n"])
def test_playlists_cannot_reach_other_files(tmp_path: Path, playlist: str) -> None:
    secret = write_file(tmp_path / "secret.wav", band_limited_noise(16_000, 16_000))
    (tmp_path / "list.m3u8").write_text(playlist.format(secret.name))

    with pytest.raises(UnsupportedMedia):
        probe(tmp_path / "list.m3u8")


def test_wav_without_samples_is_invalid() -> None:
    with pytest.raises(InvalidAudio, match="The file holds no samples"):
        probe(io.BytesIO(riff()))


@pytest.mark.parametrize(
    ("sample_rate", "channels", "words"),
    [
        (0, 1, "sample rate of 0 Hz"),
        (4_000_000_000, 1, "sample rate of 4000000000 Hz"),
        (16_000, 0, "states 0 channels"),
        (16_000, 65_535, "states 65535 channels"),
    ],
)
def test_absurd_header_values_are_named(sample_rate: int, channels: int, words: str) -> None:
    content = bytearray(riff(data=bytes(100)))
    content[22:28] = struct.pack("<HI", channels, sample_rate)

    with pytest.raises(InvalidAudio, match=words):
        probe(io.BytesIO(content))


def test_damaged_header_of_a_known_format_is_invalid() -> None:
    with pytest.raises(InvalidAudio, match="begins like FLAC, but it is damaged"):
        probe(io.BytesIO(b"fLaC" + bytes(2_000)))


def test_names_in_messages_lose_their_path_and_control_characters() -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        probe(io.BytesIO(b"text"), name="../../etc/pass\nwd\x1b[31m" + "x" * 500)

    assert str(caught.value).startswith("“passwd[31mxxx")
    assert len(str(caught.value)) < 300


def test_one_sample_is_a_recording() -> None:
    assert probe(io.BytesIO(riff(data=b"\1\2"))).frames == 1


@pytest.mark.parametrize(
    ("subtype", "is_lossy", "expected"),
    [
        ("PCM_U8", False, "PCM_16"),
        ("PCM_16", False, "PCM_16"),
        ("PCM_24", False, "PCM_24"),
        ("PCM_32", False, "PCM_24"),
        ("FLOAT", False, "FLOAT"),
        ("DOUBLE", False, "FLOAT"),
        ("OPUS", True, "PCM_16"),
    ],
)
def test_output_keeps_the_depth_of_the_source(subtype: str, is_lossy: bool, expected: str) -> None:
    source = AudioProbe(
        format="wav",
        codec="pcm",
        sample_rate=16_000,
        channels=1,
        frames=1,
        duration_s=1.0,
        subtype=subtype,
        is_lossy=is_lossy,
        media_type="audio/wav",
    )

    assert default_subtype(source) == expected


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"RIFF\0\0\0\0WAVE", "wav"),
        (b"RIFF\0\0\0\0AVI ", "avi"),
        (b"BW64\0\0\0\0WAVE", "rf64"),
        (b"\0\0\0\x20ftypM4A ", "mp4"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "webm"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\xff\xd8\xff\xe0", None),
        (b"", None),
    ],
)
def test_containers_are_told_by_their_first_bytes(head: bytes, container: str | None) -> None:
    assert sniff_container(head) == container

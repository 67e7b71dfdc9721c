"""Decoding: exact samples, exact counts, no delay, in every container; damaged files say what is missing."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.decode import AudioReader, decode_blocks, gather_blocks
from core.audio.encode import AudioWriter
from core.errors import InvalidAudio
from tests.unit.audio.signals import band_limited_noise, delay_samples, encode_with_ffmpeg, read_all, write_file

FRAMES = 30_017


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "FLOAT"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_24"),
        ("AIFF", "PCM_16"),
        ("AU", "FLOAT"),
        ("CAF", "PCM_24"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_lossless_files_decode_to_the_same_samples(tmp_path: Path, container: str, subtype: str, channels: int) -> None:
    levels = {"PCM_16": 2**15, "PCM_24": 2**23, "FLOAT": 2**23}[subtype]
    integers = np.random.default_rng(0).integers(-levels, levels, (channels, FRAMES))
    wav = (integers / levels).astype(np.float32)
    path = tmp_path / "file"
    stored = wav.T if subtype == "FLOAT" else (integers.T * (2**31 // levels)).astype(np.int32)
    soundfile.write(path, stored, 16_000, format=container, subtype=subtype)

    with AudioReader(path) as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=-1)

        assert np.array_equal(decoded, wav)
        assert decoded.dtype == np.float32
        assert reader.frames_read == FRAMES
        assert reader.warning is None


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("format", "sample_rate"), [("mp3", 44_100), ("ogg", 44_100), ("opus", 48_000)])
def test_lossy_files_that_state_their_length_decode_to_it_without_delay(
    tmp_path: Path, format: str, sample_rate: int, channels: int
) -> None:
    wav = band_limited_noise(FRAMES, sample_rate, channels=channels)

    decoded = read_all(write_file(tmp_path / f"made.{format}", wav, sample_rate=sample_rate))

    assert decoded.shape == wav.shape
    assert delay_samples(decoded, wav) == 0
    assert (decoded - wav).std() < 0.3 * wav.std()


@pytest.mark.parametrize(
    ("muxer", "codec", "sample_rate"),
    [
        ("ipod", "aac", 44_100),
        ("mp4", "aac", 48_000),
        ("matroska", "aac", 44_100),
        ("webm", "libopus", 48_000),
        ("mov", "alac", 44_100),
        ("mov", "pcm_s16le", 8_000),
        ("matroska", "flac", 96_000),
    ],
)
@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2)])
def test_encoder_delay_is_taken_out_where_the_container_states_it(
    tmp_path: Path, muxer: str, codec: str, sample_rate: int, layout: str, channels: int
) -> None:
    wav = band_limited_noise(FRAMES, sample_rate, channels=channels)
    path = encode_with_ffmpeg(
        tmp_path / "file", wav, muxer=muxer, codec=codec, sample_rate=sample_rate, layout=layout, options={}
    )

    decoded = read_all(path)

    # AAC is coded in frames of 1,024 samples, and only some containers say where in the last one the sound ends.
    assert FRAMES <= decoded.shape[-1] < FRAMES + (1_024 if codec == "aac" else 1)
    assert decoded.shape[0] == channels
    assert delay_samples(decoded, wav) == 0
    assert (decoded[:, :FRAMES] - wav).std() < 0.3 * wav.std()


@pytest.mark.parametrize("format", ["m4a", "opus", "ogg"])
def test_eight_channels_of_a_lossy_file_are_all_read(tmp_path: Path, format: str) -> None:
    wav = band_limited_noise(8_000, 48_000, channels=8)

    decoded = read_all(write_file(tmp_path / f"made.{format}", wav, sample_rate=48_000))

    assert decoded.shape[0] == 8
    assert delay_samples(decoded, wav) == 0


def test_mp3_without_a_length_tag_is_read_to_its_end(tmp_path: Path) -> None:
    # Noise, then silence, at a variable bit rate: the rate of the first frame says nothing about the length.
    wav = np.zeros((1, 10 * 44_100), np.float32)
    wav[:, :44_100] = np.random.default_rng(0).uniform(-0.5, 0.5, 44_100)
    tagged = write_file(tmp_path / "tagged.mp3", wav, sample_rate=44_100).read_bytes()
    second_frame = tagged.index(b"\xff\xfb", 4)
    (tmp_path / "bare.mp3").write_bytes(tagged[second_frame:])

    frames = read_all(tmp_path / "bare.mp3").shape[-1]

    assert wav.shape[-1] <= frames < wav.shape[-1] + 4 * 1_152


def test_wav_whose_writer_never_stated_the_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = write_file(tmp_path / "made.wav", band_limited_noise(FRAMES, 16_000))
    for unknown in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        content = bytearray(path.read_bytes())
        content[4:8] = unknown
        size = content.index(b"data") + 4
        content[size : size + 4] = unknown
        (tmp_path / "piped.wav").write_bytes(content)

        with AudioReader(tmp_path / "piped.wav") as reader:
            assert sum(block.shape[-1] for block in reader.blocks()) == FRAMES
            assert reader.warning is None


def test_samples_beyond_full_scale_are_kept(tmp_path: Path) -> None:
    wav = np.array([[0.0, 2.5, -7.0]], np.float32)

    assert np.array_equal(read_all(write_file(tmp_path / "made.wav", wav, subtype="FLOAT")), wav)


@pytest.mark.parametrize("block_frames", [1, 1_000, 4_096, 100_000])
def test_blocks_have_the_size_asked_for_and_the_same_samples(tmp_path: Path, block_frames: int) -> None:
    path = write_file(tmp_path / "made.flac", band_limited_noise(5_000, 16_000, channels=2))

    blocks = list(decode_blocks(path, block_frames=block_frames))

    assert all(block.shape == (2, block_frames) for block in blocks[:-1])
    assert np.array_equal(np.concatenate(blocks, axis=-1), read_all(path))


def test_pieces_of_any_size_are_gathered_without_loss() -> None:
    pieces = [np.arange(n, dtype=np.float32)[None] for n in (3, 0, 10, 1, 25)]

    blocks = list(gather_blocks(pieces, block_frames=4))

    assert [block.shape[-1] for block in blocks] == [4] * 9 + [3]
    assert np.array_equal(np.concatenate(blocks, axis=-1), np.concatenate(pieces, axis=-1))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused_with_their_count_and_time(
    tmp_path: Path, subtype: str, value: float
) -> None:
    wav = np.zeros((16_000, 2))
    wav[8_000, 1] = wav[8_001, 0] = value
    soundfile.write(tmp_path / "bad.wav", wav, 16_000, subtype=subtype)

    with (
        AudioReader(tmp_path / "bad.wav", name="../../bad\n.wav") as reader,
        pytest.raises(InvalidAudio, match=r"^“bad.wav” .*: 2 in one block, the first at 0\.500 s\.$"),
    ):
        list(reader.blocks())


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_truncated_file_yields_what_is_there_and_names_both_durations(tmp_path: Path, ending: str) -> None:
    wav = band_limited_noise(10 * 44_100, 44_100)
    whole = write_file(tmp_path / f"whole.{ending}", wav, sample_rate=44_100).read_bytes()
    (tmp_path / f"cut.{ending}").write_bytes(whole[: len(whole) // 2])

    with AudioReader(tmp_path / f"cut.{ending}") as reader:
        frames = sum(block.shape[-1] for block in reader.blocks())

        assert 3.5 * 44_100 < frames < 6.5 * 44_100
        assert reader.warning == (
            f"The file is cut short or damaged: {frames / 44_100:.2f} s of the 10.00 s that it declares "
            "could be decoded."
        )


def test_length_tag_of_an_mp3_is_found_behind_an_id3_tag(tmp_path: Path) -> None:
    whole = write_file(tmp_path / "whole.mp3", band_limited_noise(441_000, 44_100), sample_rate=44_100).read_bytes()
    id3 = b"ID3\x04\x00\x00\x00\x00\x07\x68" + bytes(7 << 7 | 0x68)
    (tmp_path / "cut.mp3").write_bytes(id3 + whole[whole.index(b"\xff\xfb") : len(whole) // 2])

    with AudioReader(tmp_path / "cut.mp3") as reader:
        list(reader.blocks())

        assert reader.warning is not None
        assert "of the 10.00 s that it declares" in reader.warning


def test_truncated_aiff_names_both_durations(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.aiff", np.zeros(16_000), 16_000)
    (tmp_path / "cut.aiff").write_bytes((tmp_path / "whole.aiff").read_bytes()[:16_054])

    with AudioReader(tmp_path / "cut.aiff") as reader:
        list(reader.blocks())

        assert reader.warning == (
            "The file is cut short or damaged: 0.50 s of the 1.00 s that it declares could be decoded."
        )


@pytest.mark.parametrize("ending", ["ogg", "opus"])
def test_truncated_ogg_says_that_its_end_is_missing(tmp_path: Path, ending: str) -> None:
    wav = band_limited_noise(10 * 48_000, 48_000)
    whole = write_file(tmp_path / f"whole.{ending}", wav, sample_rate=48_000).read_bytes()
    (tmp_path / f"cut.{ending}").write_bytes(whole[: len(whole) // 2])

    with AudioReader(tmp_path / f"cut.{ending}") as reader:
        frames = sum(block.shape[-1] for block in reader.blocks())

        assert 2 * 48_000 < frames < 8 * 48_000
        assert reader.warning == (
            f"The file may be cut short: its last page, at {frames / 48_000:.2f} s, is not marked as the end."
        )


def test_damaged_page_of_an_ogg_is_left_out_and_counted(tmp_path: Path) -> None:
    whole = write_file(tmp_path / "whole.opus", band_limited_noise(480_000, 48_000), sample_rate=48_000).read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 0xFF
    (tmp_path / "damaged.opus").write_bytes(damaged)

    with AudioReader(tmp_path / "damaged.opus") as reader:
        frames = sum(block.shape[-1] for block in reader.blocks())

        assert 8 * 48_000 < frames < 10 * 48_000
        assert reader.warning is not None
        assert "of the 10.00 s that it declares" in reader.warning


def test_truncated_m4a_with_its_index_in_front_yields_what_is_there(tmp_path: Path) -> None:
    wav = band_limited_noise(5 * 44_100, 44_100)
    whole = encode_with_ffmpeg(
        tmp_path / "whole.m4a",
        wav,
        muxer="ipod",
        codec="aac",
        sample_rate=44_100,
        layout="mono",
        options={"movflags": "faststart"},
    ).read_bytes()
    (tmp_path / "cut.m4a").write_bytes(whole[: len(whole) // 2])

    with AudioReader(tmp_path / "cut.m4a") as reader:
        frames = sum(block.shape[-1] for block in reader.blocks())

        assert 1.5 * 44_100 < frames < 3.5 * 44_100
        assert reader.warning is not None
        assert "of the 5.00 s that it declares" in reader.warning


def test_truncated_m4a_with_its_index_at_the_end_is_refused(tmp_path: Path) -> None:
    whole = write_file(tmp_path / "whole.m4a", band_limited_noise(44_100, 44_100), sample_rate=44_100).read_bytes()
    (tmp_path / "cut.m4a").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(InvalidAudio, match="damaged or incomplete"):
        AudioReader(tmp_path / "cut.m4a")


def test_stream_that_changes_rate_and_channels_keeps_those_of_its_start(tmp_path: Path) -> None:
    for name, rate, layout, channels in (("first", 44_100, "stereo", 2), ("second", 22_050, "mono", 1)):
        wav = band_limited_noise(rate, rate, channels=channels)
        encode_with_ffmpeg(tmp_path / name, wav, muxer="adts", codec="aac", sample_rate=rate, layout=layout, options={})
    first, second = (tmp_path / "first").read_bytes(), (tmp_path / "second").read_bytes()
    (tmp_path / "joined.aac").write_bytes(first + second + first)

    with AudioReader(tmp_path / "joined.aac") as reader:
        frames = sum(block.shape[-1] for block in reader.blocks())

        assert (reader.sample_rate, reader.channels) == (44_100, 2)
        assert 3 * 44_100 <= frames < 3 * 44_100 + 8 * 1_024


def test_stream_that_begins_late_in_the_file_does_not_stop_the_one_that_is_read(tmp_path: Path) -> None:
    wav = band_limited_noise(5 * 44_100, 44_100)
    for name, first_pid in (("first", 0x100), ("late", 0x300)):
        encode_with_ffmpeg(
            tmp_path / name,
            wav,
            muxer="mpegts",
            codec="aac",
            sample_rate=44_100,
            layout="mono",
            options={"mpegts_start_pid": str(first_pid), "mpegts_pmt_start_pid": str(first_pid + 0x1000)},
        )
    first, late = (tmp_path / "first").read_bytes(), (tmp_path / "late").read_bytes()
    (tmp_path / "joined.ts").write_bytes(4 * first + late + first)

    frames = read_all(tmp_path / "joined.ts").shape[-1]

    assert 5 * 5 * 44_100 < frames < 5 * (5 * 44_100 + 4 * 1_024)


def test_failure_of_the_source_is_not_taken_for_the_end_of_the_file(tmp_path: Path) -> None:
    class FailingSource(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 100_000:
                raise ConnectionError("the store does not answer")
            return super().read(size)

    content = write_file(tmp_path / "made.wav", band_limited_noise(100_000, 16_000)).read_bytes()

    with AudioReader(FailingSource(content)) as reader, pytest.raises(ConnectionError):
        list(reader.blocks())


@pytest.mark.parametrize("frames", [1, 1_023, 1_024, 1_025, 20_000])
@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 96_000])
def test_m4a_ends_where_it_says_and_not_where_its_last_packet_does(
    tmp_path: Path, sample_rate: int, frames: int
) -> None:
    wav = (0.1 * np.random.default_rng(0).standard_normal((2, frames))).astype(np.float32)
    with AudioWriter(tmp_path / "talk.m4a", "m4a", sample_rate=sample_rate, channels=2, frames=frames) as writer:
        writer.write(wav)

    with AudioReader(tmp_path / "talk.m4a") as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=1)

    assert decoded.shape == wav.shape
    assert reader.warning is None

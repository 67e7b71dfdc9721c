"""Encoding: bit-exact integers, counted clipping, RF64 past 4 GiB, clear refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.decode import AudioReader
from core.audio.encode import LIMITS, MAX_RIFF_DATA_BYTES, AudioWriter, check_encodable, encoded_rate
from core.audio.formats import LOSSY_OUTPUT_FORMATS, OUTPUT_FORMATS, extension_for, media_type_for
from core.audio.probe import probe
from core.audio.tags import read_tags
from core.errors import InsufficientDisk, InvalidOptions
from tests.full_disk import file_size_limit
from tests.unit.audio.signals import band_limited_noise, delay_samples, read_all, write_file


@pytest.mark.parametrize("format", ["wav", "flac"])
@pytest.mark.parametrize(("subtype", "levels"), [("PCM_16", 2**15), ("PCM_24", 2**23)])
def test_every_integer_level_survives_decoding_and_writing_again(
    tmp_path: Path, format: str, subtype: str, levels: int
) -> None:
    step = levels // 2**15
    wav = (np.arange(-levels, levels, step)[None] / levels).astype(np.float32)

    once = read_all(write_file(tmp_path / f"once.{format}", wav, subtype=subtype))
    twice = read_all(write_file(tmp_path / f"twice.{format}", once, subtype=subtype))

    assert np.array_equal(once, wav)
    assert np.array_equal(twice, wav)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_samples_beyond_full_scale_are_clipped_and_counted(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "made.wav"
    with AudioWriter(path, "wav", sample_rate=16_000, channels=2, subtype=subtype) as writer:
        writer.write(np.array([[1.5, 0.5, -3.0], [1.0, -1.0, 1.01]], np.float32))

    wav = read_all(path)

    assert writer.clipped_samples == 3
    assert np.allclose(wav, [[1, 0.5, -1], [1, -1, 1]], atol=2**-15)


def test_float_keeps_samples_beyond_full_scale(tmp_path: Path) -> None:
    path = tmp_path / "made.wav"
    with AudioWriter(path, "wav", sample_rate=16_000, channels=1, subtype="FLOAT") as writer:
        writer.write(np.array([[1.5, -3.25]], np.float32))

    assert writer.clipped_samples == 0
    assert np.array_equal(read_all(path), [[1.5, -3.25]])


def test_rounding_error_is_half_a_step_at_most(tmp_path: Path) -> None:
    wav = np.random.default_rng(0).uniform(-0.99, 0.99, (1, 10_000)).astype(np.float32)

    error = read_all(write_file(tmp_path / "made.wav", wav)) - wav

    assert np.abs(error).max() <= 0.5 / 2**15 + 1e-7


def test_dither_turns_the_distortion_of_a_quiet_sine_into_noise(tmp_path: Path) -> None:
    # 0.6 steps of amplitude: rounding makes a square wave of it, with a third harmonic that TPDF dither removes.
    time_s = np.arange(16_000) / 16_000
    wav = (0.6 / 2**15 * np.sin(2 * np.pi * 500 * time_s))[None].astype(np.float32)

    def third_harmonic_steps(dither_seed: int | None) -> float:
        path = tmp_path / "made.wav"
        with AudioWriter(path, "wav", sample_rate=16_000, channels=1, dither_seed=dither_seed) as writer:
            writer.write(wav)
        return float(np.abs(np.mean(read_all(path)[0] * np.exp(-2j * np.pi * 1_500 * time_s))) * 2**15)

    assert third_harmonic_steps(None) > 0.1
    assert third_harmonic_steps(1) < 0.02


@pytest.mark.parametrize("format", [format for format in OUTPUT_FORMATS if format != "ogg"])
def test_same_signal_gives_the_same_bytes(tmp_path: Path, format: str) -> None:
    wav = band_limited_noise(20_000, 48_000)
    subtype = "PCM_16" if format == "flac" else "FLOAT"

    first = write_file(tmp_path / f"first.{format}", wav, sample_rate=48_000, subtype=subtype).read_bytes()
    second = write_file(tmp_path / f"second.{format}", wav, sample_rate=48_000, subtype=subtype).read_bytes()

    assert first == second
    # The PEAK chunk holds the time of day, which two writes in one second would share.
    assert b"PEAK" not in first[:200]


def test_wav_past_4_gib_becomes_rf64(tmp_path: Path) -> None:
    frames = MAX_RIFF_DATA_BYTES // 4 + 1
    for known_frames, container in ((frames, b"RF64"), (frames - 1, b"RIFF"), (None, b"RIFF")):
        path = tmp_path / "made.wav"
        with AudioWriter(path, "wav", sample_rate=48_000, channels=2, frames=known_frames) as writer:
            writer.write(np.zeros((2, 100), np.float32))

        assert path.read_bytes()[:4] == container
        assert probe(path).frames == 100


@pytest.mark.parametrize("format", sorted(LOSSY_OUTPUT_FORMATS))
@pytest.mark.parametrize(("sample_rate", "channels"), [(11_024, 1), (44_100, 2), (96_000, 1)])
def test_lossy_formats_keep_alignment_and_duration_at_every_rate(
    tmp_path: Path, format: str, sample_rate: int, channels: int
) -> None:
    wav = band_limited_noise(sample_rate, sample_rate, channels=channels)
    path = write_file(tmp_path / f"made.{format}", wav, sample_rate=sample_rate)

    with AudioReader(path) as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=-1)
        file_rate = reader.sample_rate
    expected = band_limited_noise(sample_rate, sample_rate, channels=channels)

    assert file_rate == encoded_rate(format, sample_rate)
    assert 0 <= decoded.shape[-1] - file_rate < (1_024 if format == "m4a" else 2)
    if file_rate == sample_rate:
        assert delay_samples(decoded, expected) == 0


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_tags_travel_from_file_to_file(tmp_path: Path, format: str) -> None:
    tags = {"title": "Grüße", "artist": "Ω", "comment": "no comment"}
    path = tmp_path / f"made.{format}"
    with AudioWriter(path, format, sample_rate=48_000, channels=1, tags=tags) as writer:
        writer.write(band_limited_noise(5_000, 48_000))

    assert read_tags(path).items() >= tags.items()


def test_file_without_tags_or_sound_has_no_tags(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no audio")

    assert read_tags(tmp_path / "text") == {}


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_formats_have_a_media_type_and_an_extension_and_can_be_probed(tmp_path: Path, format: str) -> None:
    path = write_file(tmp_path / f"made.{format}", band_limited_noise(5_000, 48_000), sample_rate=48_000)

    assert extension_for(format) == f".{format}"
    assert probe(path).media_type == media_type_for(format)


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_one_sample_and_the_most_channels_can_be_written(tmp_path: Path, format: str) -> None:
    channels = LIMITS[format].max_channels

    wav = read_all(write_file(tmp_path / f"made.{format}", np.zeros((channels, 1), np.float32), sample_rate=48_000))

    assert wav.shape[0] == channels
    assert wav.shape[-1] >= 1


@pytest.mark.parametrize(
    ("format", "sample_rate", "channels", "subtype", "words"),
    [
        ("flac", 16_000, 1, "FLOAT", "FLAC has no subtype FLOAT"),
        ("flac", 16_000, 9, "PCM_16", "FLAC holds 1 to 8 channels, not 9"),
        ("flac", 700_000, 1, "PCM_16", "up to 655350 Hz, not 700000 Hz"),
        ("mp3", 16_000, 3, "PCM_16", "MP3 holds 1 to 2 channels, not 3"),
        ("wav", 16_000, 1, "PCM_12", "subtype 'PCM_12' is unknown"),
        ("exe", 16_000, 1, "PCM_16", "format 'exe' cannot be written"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    format: str, sample_rate: int, channels: int, subtype: str, words: str
) -> None:
    with pytest.raises(InvalidOptions, match=words):
        check_encodable(format, sample_rate=sample_rate, channels=channels, subtype=subtype)


@pytest.mark.parametrize("format", ["wav", "m4a"])
def test_file_that_cannot_be_created_is_a_disk_error_without_its_path(tmp_path: Path, format: str) -> None:
    with pytest.raises(InsufficientDisk) as caught:
        AudioWriter(tmp_path / "missing" / f"made.{format}", format, sample_rate=16_000, channels=1)

    assert "missing" not in str(caught.value)


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_full_disk_is_a_disk_error(tmp_path: Path, format: str) -> None:
    wav = np.random.default_rng(0).uniform(-1, 1, (2, 480_000)).astype(np.float32)

    with file_size_limit(50_000), pytest.raises(InsufficientDisk, match="disk is full"):
        write_file(tmp_path / f"made.{format}", wav, sample_rate=48_000)


def test_block_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    with (
        AudioWriter(tmp_path / "made.wav", "wav", sample_rate=16_000, channels=2) as writer,
        pytest.raises(ValueError, match=r"expected \(2, T\)"),
    ):
        writer.write(np.zeros((1, 10), np.float32))


def test_written_file_is_what_another_reader_sees(tmp_path: Path) -> None:
    wav = band_limited_noise(1_000, 16_000, channels=2)

    stored, sample_rate = soundfile.read(write_file(tmp_path / "made.wav", wav), dtype="int16")

    assert sample_rate == 16_000
    assert np.array_equal(stored.T, np.rint(wav * 2**15).astype(np.int16))

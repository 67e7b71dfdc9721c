"""Corpora: which clips they hold, how they are split, and that each is decoded once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from core.errors import InvalidAudio, InvalidOptions
from training.datasets import Clip, list_clips, load_pools, split_of


def write_tone(path: Path, *, seconds: float = 0.5, sample_rate: int = 16000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(int(seconds * sample_rate)) / sample_rate
    wav = 0.5 * np.sin(2 * np.pi * 440 * time_s)
    sf.write(path, np.repeat(wav[:, np.newaxis], channels, axis=1), sample_rate)


def test_folders_named_after_kinds_are_a_corpus(tmp_path: Path) -> None:
    write_tone(tmp_path / "speech" / "anna" / "one.wav")
    write_tone(tmp_path / "noise" / "rain.flac")
    (tmp_path / "noise" / "readme.txt").write_text("no audio")

    clips = list_clips(tmp_path)

    assert [(clip.kind, clip.file) for clip in clips] == [
        ("noise", "noise/rain.flac"),
        ("speech", "speech/anna/one.wav"),
    ]


def test_corpus_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="no clips"):
        list_clips(tmp_path)


def test_manifest_keeps_the_longest_of_equal_clips_and_splits_by_speaker(tmp_path: Path) -> None:
    records = [
        {"file": "small/rain.ogg", "kind": "noise", "source": "s", "seconds": 2.0},
        {"file": "large/rain.ogg", "kind": "noise", "source": "s", "seconds": 5.0},
        {"file": "a1.ogg", "kind": "speech", "source": "many", "speaker": "a", "seconds": 1.0},
        {"file": "a2.ogg", "kind": "speech", "source": "many", "speaker": "a", "seconds": 1.0},
        {"file": "b1.ogg", "kind": "speech", "source": "many", "speaker": "b", "seconds": 1.0},
        {"file": "c1.ogg", "kind": "speech", "source": "one", "speaker": "c", "seconds": 1.0},
        {"file": "c2.ogg", "kind": "speech", "source": "one", "speaker": "c", "seconds": 1.0},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(records))

    units = {clip.file: clip.unit for clip in list_clips(tmp_path)}

    assert "small/rain.ogg" not in units
    assert units["large/rain.ogg"] == "s/rain"
    assert units["a1.ogg"] == units["a2.ogg"] == "many/a"
    assert units["c1.ogg"] != units["c2.ogg"]


def test_split_is_fixed_per_unit_and_meets_its_fractions() -> None:
    units = [f"speaker {number}" for number in range(4000)]

    sides = [split_of(unit, validation_fraction=0.1, test_fraction=0.2) for unit in units]

    assert sides == [split_of(unit, validation_fraction=0.1, test_fraction=0.2) for unit in units]
    assert sides.count("validation") / len(sides) == pytest.approx(0.1, abs=0.02)
    assert sides.count("test") / len(sides) == pytest.approx(0.2, abs=0.02)


def test_pool_holds_clips_as_mono_at_the_given_rate(tmp_path: Path) -> None:
    write_tone(tmp_path / "speech" / "mono.wav")
    write_tone(tmp_path / "speech" / "stereo.wav", sample_rate=48000, channels=2)

    pool = load_pools(tmp_path, list_clips(tmp_path), sample_rate=16000, cache=tmp_path / "cache")["speech"]

    assert len(pool) == 2
    assert pool.durations.tolist() == [8000, 8000]
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
    np.testing.assert_allclose(pool.read(0), expected, atol=1e-4)
    np.testing.assert_allclose(pool.read(1)[500:-500], expected[500:-500], atol=1e-3)


def test_reading_never_crosses_into_the_next_clip(tmp_path: Path) -> None:
    write_tone(tmp_path / "noise" / "a.wav")
    write_tone(tmp_path / "noise" / "b.wav")

    pool = load_pools(tmp_path, list_clips(tmp_path), sample_rate=16000, cache=tmp_path / "cache")["noise"]

    assert len(pool.read(0, start=7990, length=100)) == 10


def test_clips_are_decoded_once(tmp_path: Path) -> None:
    source = tmp_path / "noise" / "a.wav"
    write_tone(source)
    clips = list_clips(tmp_path)
    first = load_pools(tmp_path, clips, sample_rate=16000, cache=tmp_path / "cache")["noise"].read(0)
    source.unlink()

    again = load_pools(tmp_path, clips, sample_rate=16000, cache=tmp_path / "cache")["noise"].read(0)

    np.testing.assert_array_equal(first, again)


def test_clip_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "broken.wav").write_text("no audio")
    clip = Clip(file="noise/broken.wav", kind="noise", unit="broken")

    with pytest.raises(InvalidAudio, match=r"'broken\.wav'"):
        load_pools(tmp_path, [clip], sample_rate=16000, cache=tmp_path / "cache")

"""Tracks: files find their source, sums and silence come out right, nothing is lost in the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from core.errors import InvalidAudio, InvalidOptions
from tests.unit.training.stem_data import SAMPLE_RATE, SOURCES, drums, organ, write_track
from training.separation.tracks import Track, find_tracks, load_tracks, read_stems


def test_folders_are_tracks_and_files_go_to_their_sources(tmp_path: Path) -> None:
    write_track(tmp_path / "a", {"drums_kit": drums(0.1), "organ": organ(0.1), "choir": organ(0.1)})
    write_track(tmp_path / "set" / "b", {"drums": drums(0.1), "piano": organ(0.1)})
    (tmp_path / "notes").mkdir()

    first, second = find_tracks(tmp_path, SOURCES)

    assert (first.name, second.name) == ("a", "set/b")
    assert [[path.name for path in files] for files in first.files] == [["drums_kit.wav"], ["choir.wav", "organ.wav"]]


def test_folder_that_holds_stems_itself_is_one_track(tmp_path: Path) -> None:
    write_track(tmp_path / "song", {"drums": drums(0.1), "organ": organ(0.1)})

    (track,) = find_tracks(tmp_path / "song", SOURCES)

    assert track.name == "song"


def test_named_sources_come_before_the_rest(tmp_path: Path) -> None:
    write_track(tmp_path, {"drums": drums(0.1), "organ": organ(0.1)})

    (track,) = find_tracks(tmp_path, {"other": ("*",), "drums": ("drums",)})

    assert [[path.stem for path in files] for files in track.files] == [["organ"], ["drums"]]


def test_folder_without_tracks_names_the_sources(tmp_path: Path) -> None:
    sf.write(tmp_path / "drums.wav", drums(0.1), SAMPLE_RATE)

    with pytest.raises(InvalidOptions, match="drums, other"):
        find_tracks(tmp_path, SOURCES)


def test_files_of_a_source_are_summed_and_short_ones_end_in_silence(tmp_path: Path) -> None:
    write_track(tmp_path, {"drums": drums(0.2), "organ": organ(0.1), "flute": organ(0.2)[:, 0]})
    (track,) = find_tracks(tmp_path, SOURCES)

    stems = read_stems(track, sample_rate=SAMPLE_RATE)

    assert stems.shape == (2, 2, 1600)
    expected = organ(0.2)[:, [0, 0]].T
    expected[:, :800] += organ(0.1).T
    np.testing.assert_allclose(stems[1], expected, atol=1e-6)


def test_source_without_files_is_silent(tmp_path: Path) -> None:
    write_track(tmp_path, {"drums": drums(0.1), "organ": organ(0.1)})
    (track,) = find_tracks(tmp_path, {**SOURCES, "vocals": ("vocals",)})

    assert not read_stems(track, sample_rate=SAMPLE_RATE)[2].any()


def test_pool_reads_crops_of_what_was_decoded_above_full_scale_too(tmp_path: Path) -> None:
    write_track(tmp_path / "t", {"drums": drums(0.2), "organ": 8 * organ(0.2)})
    (track,) = find_tracks(tmp_path / "t", SOURCES)
    stems = read_stems(track, sample_rate=SAMPLE_RATE)

    pool = load_tracks([track], sample_rate=SAMPLE_RATE, cache=tmp_path / "cache")

    assert pool.durations.tolist() == [1600]
    np.testing.assert_allclose(pool.read(0, start=100, length=500), stems[..., 100:600], atol=1e-4)
    assert pool.read(0, start=1500, length=500).shape == (2, 2, 100)
    again = load_tracks([track], sample_rate=SAMPLE_RATE, cache=tmp_path / "cache")
    np.testing.assert_array_equal(again.read(0), pool.read(0))


def test_rate_is_converted(tmp_path: Path) -> None:
    write_track(tmp_path, {"drums": drums(0.5), "organ": organ(0.5)})
    (track,) = find_tracks(tmp_path, SOURCES)

    assert read_stems(track, sample_rate=2 * SAMPLE_RATE).shape == (2, 2, 8000)


def test_stem_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "organ.wav").write_text("no audio")
    broken = Track(name="t", files=((), (tmp_path / "organ.wav",)))

    with pytest.raises(InvalidAudio, match=r"organ\.wav"):
        read_stems(broken, sample_rate=SAMPLE_RATE)

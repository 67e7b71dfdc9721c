"""Choosing a sound track of several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.audio.decode import AudioReader
from core.audio.probe import probe
from core.audio.tags import read_tags
from core.errors import InvalidOptions
from tests.unit.api.recordings import wav
from tests.unit.audio.pictures_and_tracks import write_tracks

TONES_HZ = [440.0, 1000.0, 3000.0]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tracks(tmp_path_factory.mktemp("film") / "film.mkv", TONES_HZ)


@pytest.mark.parametrize(("track", "tone_hz"), list(enumerate(TONES_HZ, start=1)))
def test_chosen_track_is_heard(film: Path, track: int, tone_hz: float) -> None:
    with AudioReader(film, track=track) as reader:
        signal = np.concatenate(list(reader.blocks()), axis=1)[0]

    assert np.argmax(np.abs(np.fft.rfft(signal))) * 48_000 / signal.size == pytest.approx(tone_hz, abs=1.5)
    assert reader.probe.tracks == 3
    assert read_tags(film, track=track)["title"] == f"track {track}"


def test_first_track_is_the_default(film: Path) -> None:
    with AudioReader(film) as default, AudioReader(film, track=1) as first:
        assert np.array_equal(next(default.blocks()), next(first.blocks()))


def test_track_that_is_not_there_is_refused_with_the_number_of_those_that_are(film: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(wav())

    with pytest.raises(InvalidOptions, match=r"^track = 4: the file holds 3 sound tracks\. Choose 1 to 3\.$"):
        probe(film, track=4)
    with pytest.raises(InvalidOptions, match=r"^track = 2: the file holds one sound track\. Choose 1\.$"):
        probe(tmp_path / "talk.wav", track=2)

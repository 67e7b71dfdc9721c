"""Separators on tracks: every stem that sounds is measured, with the mix itself as what was there before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from core.audio.segments import SegmentPlan
from core.enhancement.protocol import EnhancerInfo, ProgressCallback, SignalStatistics
from core.errors import InvalidOptions
from tests.unit.training.stem_data import SAMPLE_RATE, drums, organ, write_track
from training import report
from training.datasets import FloatArray
from training.evaluation import FileResult
from training.listening import StemListeningFolder
from training.separation.evaluation import evaluate_stems


class OrganFinder:
    """Gives what lies around 220 and 440 Hz as `other`, what is left as `drums`, and silence as `vocals`."""

    def __init__(self, *, channels: int = 2) -> None:
        plan = SegmentPlan(segment_samples=80000, context_samples=800, crossfade_samples=80, grid_samples=80)
        self.info = EnhancerInfo(
            name="organ-finder",
            sample_rate=SAMPLE_RATE,
            channels=channels,
            stems=("drums", "other", "vocals"),
            segment=plan,
            weights_sha256=None,
            licence="Apache-2.0",
        )

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        spectrum = np.fft.rfft(wav)
        frequencies = np.fft.rfftfreq(wav.shape[1], 1 / sample_rate)
        near = (np.abs(frequencies - 220) < 15) | (np.abs(frequencies - 440) < 15)
        found = np.fft.irfft(spectrum * near, wav.shape[1])
        return np.stack([wav - found, found, np.zeros_like(wav)]).astype(np.float32)


@pytest.fixture
def tracks(tmp_path: Path) -> Path:
    write_track(tmp_path / "tracks" / "song", {"drums": drums(1.0), "organ": organ(1.0)})
    return tmp_path / "tracks"


def test_stems_that_sound_are_measured_before_and_after(tracks: Path) -> None:
    evaluation = evaluate_stems("finder", OrganFinder(), tracks)

    drums_result, organ_result = evaluation.files
    assert (drums_result.name, drums_result.kind) == ("song/drums", "drums")
    assert (organ_result.name, organ_result.kind) == ("song/other", "other")
    for file in evaluation.files:
        assert file.after["sdr_db"] > file.before["sdr_db"] + 6
        assert file.after["sir_db"] > 12
    assert list(evaluation.by_kind()) == ["drums", "other"]
    assert [row[0] for row in report.kind_rows(evaluation)] == ["kind", "drums", "other"]
    assert "SDR dB" in report.rows([evaluation])[0]


def test_page_has_audio_and_a_picture_of_a_stem(tmp_path: Path) -> None:
    folder = StemListeningFolder(tmp_path, sample_rate=SAMPLE_RATE)
    mix, stem = (drums(0.2) + organ(0.2)).T.astype(np.float32), 9 * organ(0.2).T.astype(np.float32)
    result = FileResult(name="song/other", kind="other", snr_db=None, duration_s=0.2, before={}, after={}, rtf=0.1)

    folder.add_stem("finder", result, mix, mix, stem)
    folder.finish(["finder"])

    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")} == {
        "audio/noisy/song/other.wav", "audio/finder/song/other.wav", "audio/clean/song/other.wav",
        "pictures/song/other.png",
    }  # fmt: skip
    wav, rate = sf.read(tmp_path / "audio" / "clean" / "song" / "other.wav")
    assert (wav.shape, rate) == ((1600, 2), SAMPLE_RATE)
    assert np.abs(wav).max() <= 1


def test_engine_that_separates_nothing_is_refused(tracks: Path) -> None:
    with pytest.raises(InvalidOptions, match="does not take stereo mixes apart"):
        evaluate_stems("mono", OrganFinder(channels=1), tracks)

"""Evaluation: pairs are found, engines are run in their own rate and channels, figures add up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from core.audio.segments import SegmentPlan
from core.enhancement.protocol import EnhancerInfo, ProgressCallback, SignalStatistics
from core.errors import InvalidAudio, InvalidOptions
from training import evaluation, report
from training.datasets import FloatArray
from training.evaluation import Evaluation, FileResult, evaluate, process_with
from training.pairs import read_mono, read_pairs


class HalvingEnhancer:
    """Returns half of its input in the last stem and silence in the others."""

    def __init__(self, *, sample_rate: int = 16000, channels: int = 1, stems: tuple[str, ...] = ("enhanced",)) -> None:
        plan = SegmentPlan(segment_samples=4000, context_samples=400, crossfade_samples=200, grid_samples=100)
        self.info = EnhancerInfo(
            name="halving",
            sample_rate=sample_rate,
            channels=channels,
            stems=stems,
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
        assert wav.shape[0] == self.info.channels
        assert sample_rate == self.info.sample_rate
        estimate = np.zeros((len(self.info.stems), *wav.shape), np.float32)
        estimate[-1] = wav / 2
        return estimate


def tone(samples: int = 16000) -> FloatArray:
    return (0.2 * np.sin(2 * np.pi * 440 * np.arange(samples) / 16000)).astype(np.float32)


def write(path: Path, wav: np.ndarray, sample_rate: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, wav, sample_rate, subtype="FLOAT" if path.suffix == ".wav" else None)


def result(name: str, *, snr_db: float | None, before: float, after: float) -> FileResult:
    return FileResult(
        name=name,
        kind="mix",
        snr_db=snr_db,
        duration_s=2.0,
        before={"pesq": before},
        after={"pesq": after},
        rtf=0.5,
    )


def test_engine_runs_over_the_whole_recording_in_its_segments() -> None:
    process = process_with(HalvingEnhancer())

    np.testing.assert_allclose(process(tone(10_001)), tone(10_001) / 2, atol=1e-6)


def test_engine_of_another_rate_and_two_channels_keeps_length_and_time() -> None:
    enhancer = HalvingEnhancer(sample_rate=44100, channels=2, stems=("drums", "vocals"))

    output = process_with(enhancer)(tone(16_001))

    assert output.shape == (16_001,)
    np.testing.assert_allclose(output[500:-500], tone(16_001)[500:-500] / 2, atol=1e-3)


def test_manifest_lists_pairs_and_recordings_without_reference(tmp_path: Path) -> None:
    pair = {"id": "p1", "noisy": "noisy/p1.flac", "clean": "clean/p1.flac", "kind": "mix", "snr": 5}
    (tmp_path / "manifest.json").write_text(json.dumps({"pairs": [pair], "real": [{"file": "real/r1.flac"}]}))

    first, second = read_pairs(tmp_path)

    assert (first.name, first.snr_db, first.clean) == ("p1", 5, tmp_path / "clean/p1.flac")
    assert (second.name, second.kind, second.clean) == ("r1", "real", None)


def test_folders_pair_by_name(tmp_path: Path) -> None:
    write(tmp_path / "noisy" / "a.wav", tone())
    write(tmp_path / "noisy" / "b.wav", tone())
    write(tmp_path / "clean" / "a.wav", tone())

    pairs = read_pairs(tmp_path)

    assert [(pair.name, pair.clean is not None) for pair in pairs] == [("a", True), ("b", False)]


def test_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="no recordings"):
        read_pairs(tmp_path)


def test_recording_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no audio")

    with pytest.raises(InvalidAudio, match=r"'a\.wav'"):
        read_mono(tmp_path / "a.wav", sample_rate=16000)


def test_evaluation_measures_input_and_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = tone() + (0.05 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    write(tmp_path / "noisy" / "a.wav", noisy)
    write(tmp_path / "clean" / "a.wav", tone())
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None)
    outputs: list[FloatArray] = []

    got = evaluate("perfect", lambda _: tone(), read_pairs(tmp_path), on_file=lambda _, wav: outputs.append(wav))

    (file,) = got.files
    assert file.before["si_sdr_db"] == pytest.approx(9.03, abs=0.2)
    assert file.after["si_sdr_db"] > 100
    assert file.duration_s == 1.0
    np.testing.assert_array_equal(outputs[0], tone())


def test_summary_has_means_gains_and_intervals() -> None:
    files = [result(str(n), snr_db=5.0, before=1.0, after=2.0 + n % 2) for n in range(10)]

    summary = Evaluation(system="a", files=files).summarise()

    assert summary["gain"]["pesq"].mean == pytest.approx(1.5)
    assert summary["after"]["pesq"].low < 2.5 < summary["after"]["pesq"].high
    assert summary["before"]["pesq"].files == 10


def test_snr_bands_hold_the_files_of_known_snr() -> None:
    files = [result(str(snr), snr_db=snr, before=1, after=2) for snr in (-5.0, 0.0, 7.4, 20.0, None)]

    bands = Evaluation(system="a", files=files).by_snr_band()

    assert [len(part.files) for part in bands.values()] == [1, 2, 1]


def test_report_names_systems_escapes_names_and_turns_nan_into_null() -> None:
    files = [result("<b>", snr_db=5.0, before=1.0, after=float("nan")), result("c", snr_db=5.0, before=1.0, after=2.0)]
    evaluations = [Evaluation(system="one", files=files), Evaluation(system="two", files=files)]

    record = json.loads(json.dumps(report.as_record(evaluations), allow_nan=False))
    page = report.html_page(evaluations)

    assert record["one"]["files"][0]["after"]["pesq"] is None
    assert record["one"]["rtf"] == 0.5
    assert [row[0] for row in report.rows(evaluations)] == ["system", "noisy", "one", "two"]
    assert report.rows(evaluations)[2][1:] == ["2.00", "0.5000"]
    assert "<b>" not in page
    assert "audio/two/c.wav" in page

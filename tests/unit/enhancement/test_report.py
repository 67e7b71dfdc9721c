"""What a run says of its recording: figures, warnings, pictures."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy.signal import butter, sosfilt

from core.audio import dnsmos
from core.audio.segments import SegmentPlan
from core.enhancement.levels import SignalMeter, source_warnings
from core.enhancement.pipeline import PipelineResult, run_pipeline
from core.enhancement.protocol import EnhancerInfo, FloatArray, ProgressCallback, SignalStatistics
from core.errors import InvalidOptions
from core.operator_defaults import NO_DEFAULTS, OperatorDefaults
from core.options import resolve_options
from tests.unit.audio.test_music import chords

RATE = 48_000
FIGURES = {
    "loudness_lufs",
    "loudness_range_lu",
    "true_peak_dbtp",
    "peak_dbfs",
    "rms_dbfs",
    "noise_floor_dbfs",
    "snr_db",
    "bandwidth_hz",
    "dc_offset",
    "clipped_samples",
    "clipped_runs",
    "dnsmos",
}


class Halver:
    """An engine at 16 kHz that turns everything down by half."""

    info = EnhancerInfo(
        name="halver",
        sample_rate=16_000,
        channels=1,
        stems=("enhanced",),
        segment=SegmentPlan(segment_samples=16_000, context_samples=0, crossfade_samples=0),
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
        return 0.5 * wav[None]


def noise(seconds: float, *, level: float = 0.1, channels: int = 1) -> FloatArray:
    samples = np.random.default_rng(0).standard_normal((channels, round(seconds * RATE)))
    return (level * samples).astype(np.float32)


def run(
    tmp_path: Path,
    wav: FloatArray,
    *,
    model: bool = True,
    operator: OperatorDefaults = NO_DEFAULTS,
    preset: str | None = None,
    outputs: list[dict[str, Any]] | None = None,
    source_name: str = "source.wav",
    **overrides: Any,  # noqa: ANN401
) -> PipelineResult:
    source, workspace = tmp_path / source_name, tmp_path / "workspace"
    soundfile.write(source, wav.T, RATE, subtype="FLOAT" if source.suffix == ".wav" else "PCM_16")
    workspace.mkdir()
    return run_pipeline(
        source,
        options=resolve_options(
            preset or ("speech" if model else "clean-only"),
            {"pictures": False, **overrides},
            outputs,
            operator=operator,
        ),
        input_name="talk.wav",
        workspace=workspace,
        enhancer=Halver() if model else None,
        on_progress=lambda stage, progress: None,
    )


def test_music_for_a_denoiser_is_warned_of(tmp_path: Path) -> None:
    music = chords(RATE, 8)

    result = run(tmp_path, music)

    assert result.report["input"]["tonal_ratio"] > 0.8
    [warning] = [text for text in result.warnings if "sounds like music" in text]
    assert "model 'halver' is made for speech" in warning


def test_music_for_an_engine_that_keeps_it_is_not_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Halver, "info", replace(Halver.info, keeps_music=True))

    result = run(tmp_path, chords(RATE, 8))

    assert not any("sounds like music" in text for text in result.warnings)


def test_noise_for_a_denoiser_and_music_without_a_model_are_not_warned_of(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    results = [run(tmp_path, noise(8)), run(tmp_path / "other", chords(RATE, 8), model=False)]

    assert results[0].report["input"]["tonal_ratio"] < 0.1
    assert results[1].report["input"]["tonal_ratio"] is None
    assert not any("music" in text for result in results for text in result.warnings)


def test_dnsmos_rates_recording_and_result_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsmos, "is_installed", lambda: True)
    monkeypatch.setattr(
        dnsmos, "predict_scores", lambda wav: dict.fromkeys(dnsmos.NAMES.values(), 1 + float(np.std(wav)))
    )

    report = run(tmp_path, noise(1), dnsmos=True, residual=True).report

    before, after = report["input"]["dnsmos"], report["outputs"]["enhanced"]["dnsmos"]
    assert set(before) == set(after) == set(dnsmos.NAMES)
    assert before["overall"] > after["overall"] > 1  # half the level
    assert report["outputs"]["residual"]["dnsmos"] is None


def test_dnsmos_without_its_package_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsmos, "is_installed", lambda: False)

    result = run(tmp_path, noise(1), dnsmos=True)

    assert result.report["input"]["dnsmos"] is None
    assert any("limpid[dnsmos]" in text for text in result.warnings)


def test_report_has_every_figure_before_and_after(tmp_path: Path) -> None:
    report = run(tmp_path, noise(4), residual=True).report

    before, after = report["input"], report["outputs"]["enhanced"]
    assert set(before) >= FIGURES
    assert {role: set(figures) for role, figures in report["outputs"].items()} == {
        "enhanced": FIGURES,
        "residual": FIGURES,
    }
    for name in ("loudness_lufs", "true_peak_dbtp", "peak_dbfs", "rms_dbfs", "noise_floor_dbfs"):
        assert after[name] == pytest.approx(before[name] - 6.02, abs=0.1), name
    assert after["bandwidth_hz"] == before["bandwidth_hz"] == RATE / 2
    assert json.loads(json.dumps(report, allow_nan=False)) == report


@pytest.mark.parametrize(
    ("model", "overrides", "expected"),
    [
        (True, {}, {"engine_hz": 8_000, "above": "carried"}),
        (True, {"bandwidth": "model"}, {"engine_hz": 8_000, "above": "empty"}),
        (True, {"strength": 0.0}, {"engine_hz": None, "above": None}),
        (False, {}, {"engine_hz": None, "above": None}),
    ],
)
def test_report_says_what_became_of_the_band_above_the_engine(
    tmp_path: Path, model: bool, overrides: dict[str, Any], expected: dict[str, Any]
) -> None:
    result = run(tmp_path, noise(1), model=model, **overrides)

    assert result.report["bandwidth"] == expected


def test_model_that_runs_under_an_alias_is_told_of(tmp_path: Path) -> None:
    operator = OperatorDefaults(model="htdemucs_quantized")

    result = run(tmp_path, noise(1), preset="fast", operator=operator)

    (warning,) = (warning for warning in result.warnings if "quantised" in warning)
    assert warning.startswith("'htdemucs_quantized': There is no quantised htdemucs; htdemucs runs in its place")


@pytest.mark.parametrize("is_fast", [True, False])
def test_report_says_at_which_precision_the_model_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_fast: bool
) -> None:
    monkeypatch.setattr(Halver, "info", replace(Halver.info, is_fast=is_fast))

    result = run(tmp_path, noise(1), precision="fast")

    assert result.report["model"]["precision"] == ("fast" if is_fast else "standard")
    assert any("makes no difference to the model 'halver'" in text for text in result.warnings) is not is_fast


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="precision = 'int8'"):
        resolve_options("speech", {"precision": "int8"})


def test_unknown_bandwidth_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="bandwidth = 'wide'"):
        resolve_options("speech", {"bandwidth": "wide"})


def measure(wav: FloatArray) -> dict[str, Any]:
    meter = SignalMeter(RATE, wav.shape[0], frames=wav.shape[1])
    meter.update(wav)
    return meter.result().figures


def test_clipped_recording_is_told_of(tmp_path: Path) -> None:
    result = run(tmp_path, np.clip(noise(1, level=0.5), -1, 1))
    assert result.warnings == ()  # noise that is clipped for single samples is no run

    (tmp_path / "clipped").mkdir()
    tone = 2 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)[None].astype(np.float32)
    result = run(tmp_path / "clipped", np.clip(tone + noise(1, level=0.001), -1, 1))
    assert any("clipped in 200 places" in warning for warning in result.warnings)


def test_samples_that_formats_had_to_clip_are_told_of_once_for_all_files(tmp_path: Path) -> None:
    formats = [{"format": "flac"}, {"format": "wav", "subtype": "FLOAT"}, {"format": "wav", "subtype": "PCM_24"}]
    tone = 1.5 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)[None].astype(np.float32)
    beyond = np.count_nonzero(np.abs(tone) > 1)

    result = run(tmp_path, tone, model=False, outputs=formats, chain=[])

    [warning] = [text for text in result.warnings if "beyond full scale" in text]
    assert warning == (
        f"Samples beyond full scale were clipped: {beyond} in 'talk.enhanced.flac', {beyond} in "
        "'talk.enhanced.3.wav'. WAV with subtype FLOAT keeps them."
    )


def test_telephone_band_at_a_high_rate_is_told_of(tmp_path: Path) -> None:
    wav = sosfilt(butter(40, 3_400, fs=RATE, output="sos"), noise(3)).astype(np.float32)

    result = run(tmp_path, wav)

    assert any("allows 24 kHz" in warning for warning in result.warnings)


@pytest.mark.parametrize("sample_rate", [8_000, 9_000])
def test_narrow_band_at_a_low_rate_is_no_news(sample_rate: int) -> None:
    levels = measure(noise(1)) | {"bandwidth_hz": 3_900.0}

    assert source_warnings(levels, sample_rate=sample_rate) == ()


def test_silence_has_null_figures_and_no_warnings() -> None:
    levels = measure(np.zeros((2, RATE), np.float32))

    assert {name for name, value in levels.items() if value is None} == FIGURES - {
        "dnsmos",
        "dc_offset",
        "clipped_samples",
        "clipped_runs",
    }
    assert source_warnings(levels, sample_rate=RATE) == ()


def test_pictures_and_peaks_come_after_the_audio_for_every_signal(tmp_path: Path) -> None:
    result = run(tmp_path, noise(2, channels=2), pictures=True, residual=True)

    assert [(file.name, file.role) for file in result.files] == [
        ("talk.enhanced.wav", "enhanced"),
        ("talk.residual.wav", "residual"),
        *(
            (f"talk.{subject}.{role}.{extension}", role)
            for subject in ("before", "enhanced", "residual")
            for role, extension in (("waveform", "png"), ("spectrogram", "png"), ("peaks", "json"))
        ),
    ]
    for file in result.files[2:]:
        content = file.path.read_bytes()
        assert file.bytes == len(content)
        if file.role == "peaks":
            assert file.media_type == "application/json"
            assert json.loads(content)["sample_rate"] == RATE
        else:
            assert file.media_type == "image/png"
            assert Image.open(io.BytesIO(content)).size == (1600, 400)


def test_listening_copies_are_made_of_what_is_not_there_as_wav(tmp_path: Path) -> None:
    flac = run(tmp_path, noise(1), outputs=[{"format": "flac", "subtype": "PCM_24"}], residual=True, listening=True)

    assert [(file.name, file.role) for file in flac.files] == [
        ("talk.enhanced.flac", "enhanced"),
        ("talk.residual.flac", "residual"),
        ("talk.enhanced.listening.wav", "listening"),
        ("talk.residual.listening.wav", "listening"),
    ]
    result, copy = (soundfile.read(flac.files[index].path)[0] for index in (0, 2))
    np.testing.assert_allclose(copy, result, atol=2**-23)


def test_recording_that_is_no_wav_is_copied_as_it_was_decoded(tmp_path: Path) -> None:
    result = run(tmp_path, noise(1), source_name="source.flac", listening=True)

    copy = next(file for file in result.files if file.role == "listening")
    assert copy.name == "talk.before.listening.wav"
    np.testing.assert_array_equal(soundfile.read(copy.path)[0], soundfile.read(tmp_path / "source.flac")[0])


def test_listening_copies_are_made_when_asked_for(tmp_path: Path) -> None:
    assert not resolve_options("speech").listening
    assert [file.role for file in run(tmp_path, noise(1), source_name="source.flac").files] == ["enhanced"]


def test_peaks_of_before_and_after_differ_by_the_engine_s_gain(tmp_path: Path) -> None:
    files = {file.name: file for file in run(tmp_path, noise(2), pictures=True).files}

    before, after = (
        np.array(json.loads(files[f"talk.{subject}.peaks.json"].path.read_bytes())["data"])
        for subject in ("before", "enhanced")
    )

    assert after.shape == before.shape
    np.testing.assert_allclose(after, before / 2, atol=200)


@pytest.mark.parametrize("frames", [1, 3])
def test_pictures_of_a_few_samples_can_be_drawn(tmp_path: Path, frames: int) -> None:
    result = run(tmp_path, np.full((1, frames), 0.5, np.float32), pictures=True)

    assert len(result.files) == 1 + 2 * 3


def test_pictures_are_drawn_unless_declined(tmp_path: Path) -> None:
    assert resolve_options("speech").pictures
    assert [file.role for file in run(tmp_path, noise(1), pictures=False).files] == ["enhanced"]

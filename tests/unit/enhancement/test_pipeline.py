"""The pipeline by physics: an identity engine must return the recording, whatever its rate, channels and length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile

from core.audio.probe import probe
from core.enhancement.prepare import scratch_bytes
from core.errors import InsufficientDisk, InvalidAudio, InvalidOptions, JobCancelled
from core.jobs import Progress, Stage
from core.options import resolve_options
from tests.unit.enhancement.pipeline_runs import GainEnhancer, Recorder, level_dbfs, noise, read, run

NULL_DBFS = -120.0


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("engine_channels", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 199, 4000, 4050, 4051, 20_001])
def test_identity_engine_nulls_against_the_input(
    tmp_path: Path, frames: int, channels: int, engine_channels: int
) -> None:
    wav = noise(frames, channels)

    result = run(tmp_path, wav, 16_000, GainEnhancer(channels=engine_channels))

    output, sample_rate = read(result)
    assert sample_rate == 16_000
    assert output.shape == wav.shape
    assert level_dbfs(output - wav) < NULL_DBFS


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 44_100, 48_000, 96_000])
def test_native_rate_and_length_are_restored(tmp_path: Path, sample_rate: int) -> None:
    frames = sample_rate + 17
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(frames) / sample_rate)
    wav = np.stack([tone, -tone]).astype(np.float32)

    result = run(tmp_path, wav, sample_rate, GainEnhancer())

    output, rate = read(result)
    assert rate == sample_rate
    assert output.shape == wav.shape
    assert level_dbfs(output - wav) < NULL_DBFS


def test_bandwidth_model_leaves_the_part_above_the_engine_s_band_empty(tmp_path: Path) -> None:
    frames = 48_000
    low, high = (
        0.2 * np.sin(2 * np.pi * hz * np.arange(frames) / 48_000)[None].astype(np.float32) for hz in (1e3, 1e4)
    )

    result = run(tmp_path, low + high, 48_000, GainEnhancer(), overrides={"bandwidth": "model"})

    inner = slice(4_800, -4_800)
    assert level_dbfs((read(result)[0] - low)[:, inner]) < -80


def test_output_plus_residual_is_the_input(tmp_path: Path) -> None:
    wav = noise(10_000, 2)

    result = run(tmp_path, wav, 16_000, GainEnhancer([0.3]), overrides={"residual": True})

    assert [file.role for file in result.files] == ["enhanced", "residual"]
    output, residual = read(result, 0)[0], read(result, 1)[0]
    assert level_dbfs(output + residual - wav) < NULL_DBFS


@pytest.mark.parametrize(("strength", "gain"), [(0.0, 1.0), (0.25, 0.75), (1.0, 0.0)])
def test_strength_mixes_between_input_and_estimate(tmp_path: Path, strength: float, gain: float) -> None:
    wav = noise(9_000, 1)

    result = run(tmp_path, wav, 16_000, GainEnhancer([0.0]), overrides={"strength": strength})

    assert level_dbfs(read(result)[0] - gain * wav) < NULL_DBFS


def test_stems_keep_their_balance_and_sum_to_the_mix(tmp_path: Path) -> None:
    wav = noise(9_000, 2)

    result = run(tmp_path, wav, 44_100, GainEnhancer([0.7, 0.3], sample_rate=44_100, channels=2))

    assert [file.name for file in result.files] == ["talk.stem0.wav", "talk.stem1.wav"]
    assert level_dbfs(read(result, 0)[0] + read(result, 1)[0] - wav) < -90


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_stems_and_residual_sum_to_the_mix_below_90_db(tmp_path: Path, subtype: str) -> None:
    wav = np.round(noise(9_000, 2) * 2**15).astype(np.float32) / np.float32(2**15)
    engine = GainEnhancer([0.5, 0.3, 0.1], sample_rate=44_100, channels=2)

    result = run(tmp_path, wav, 48_000, engine, overrides={"residual": True}, outputs=[{"subtype": subtype}])

    difference = sum(read(result, index)[0] for index in range(4)) - wav
    assert [file.role for file in result.files] == ["stem0", "stem1", "stem2", "residual"]
    assert 20 * np.log10(np.sqrt(np.mean(difference**2)) + 1e-12) < -90


@pytest.mark.parametrize("outputs", [[{"subtype": "PCM_16"}], [{"format": "flac"}, {"subtype": "FLOAT"}]])
def test_outputs_that_would_clip_are_turned_down_together(tmp_path: Path, outputs: list[dict[str, Any]]) -> None:
    wav = np.clip(np.round(4 * noise(9_000, 2) * 2**15) / 2**15, -1, 1 - 2**-15).astype(np.float32)
    engine = GainEnhancer([1.5, -0.9], sample_rate=44_100, channels=2)

    result = run(tmp_path, wav, 44_100, engine, overrides={"residual": True}, outputs=outputs)

    parts = [read(result, index)[0] for index in range(0, len(result.files), len(outputs))]
    gain = 10 ** (result.report["gain_db"] / 20)
    difference = sum(parts) - gain * wav
    assert gain == pytest.approx(1 / 1.5, rel=1e-3)
    assert 20 * np.log10(np.sqrt(np.mean(difference**2))) < -90
    np.testing.assert_allclose(parts[0], 1.5 * gain * wav, atol=2**-15)
    assert [warning for warning in result.warnings if "outputs" in warning or "full scale" in warning] == [
        "All outputs were turned down by 3.5 dB together: so none of them is clipped, and they still add up to the "
        "recording, turned down as much. WAV with subtype FLOAT keeps the level."
    ]


def test_outputs_in_float_keep_their_level_whatever_it_is(tmp_path: Path) -> None:
    wav = np.clip(4 * noise(9_000, 2), -1, 1)
    engine = GainEnhancer([1.5, -0.5], sample_rate=44_100, channels=2)

    result = run(tmp_path, wav, 44_100, engine, outputs=[{"subtype": "FLOAT"}])

    assert result.report["gain_db"] == 0
    assert level_dbfs(read(result)[0] - 1.5 * wav) < NULL_DBFS


@pytest.mark.parametrize("bandwidth", ["keep", "model"])
@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 48_000])
def test_output_has_no_delay_by_cross_correlation(tmp_path: Path, sample_rate: int, bandwidth: str) -> None:
    wav = noise(sample_rate // 2, 1)

    result = run(tmp_path, wav, sample_rate, GainEnhancer([0.5]), overrides={"bandwidth": bandwidth})

    correlation = scipy.signal.correlate(read(result)[0][0], wav[0], method="fft")
    assert int(correlation.argmax()) - (wav.shape[1] - 1) == 0


def test_segments_share_the_statistics_of_the_whole_recording(tmp_path: Path) -> None:
    wav = noise(20_000, 2)
    wav[:, 10_000:] *= 3
    engine = GainEnhancer()

    run(tmp_path, wav, 16_000, engine)

    left = [statistics for _, statistics in engine.calls[0::2]]
    assert len(set(left)) == 1
    assert left[0].std == pytest.approx(float(wav[0].astype(np.float64).std(ddof=1)), rel=1e-6)
    assert left[0].peak == pytest.approx(float(np.abs(wav[0]).max()))


def test_progress_never_falls_and_ends_complete(tmp_path: Path) -> None:
    sink = Recorder()

    result = run(tmp_path, noise(30_000, 1), 48_000, GainEnhancer(), sink=sink)

    fractions = [progress.fraction for _, progress in sink.steps]
    assert fractions == sorted(fractions)
    assert {stage for stage, _ in sink.steps} == set(Stage)
    assert result.progress.fraction == 1.0
    assert result.progress.duration_s == pytest.approx(30_000 / 48_000)
    assert result.progress.rtf is not None
    assert result.progress.rtf > 0


@pytest.mark.parametrize("stage", list(Stage))
def test_a_sink_that_raises_stops_the_run_and_leaves_no_scratch(tmp_path: Path, stage: Stage) -> None:
    sink = Recorder(stop_at=stage)

    with pytest.raises(JobCancelled):
        run(tmp_path, noise(30_000, 1), 48_000, GainEnhancer(), sink=sink)

    assert sink.steps[-1][0] is stage
    assert not list((tmp_path / "workspace").glob("*.f32"))


def test_a_run_can_be_stopped_while_the_chain_measures_the_recording(tmp_path: Path) -> None:
    sink = Recorder(stop_at=Stage.FINISH)

    with pytest.raises(JobCancelled):
        run(tmp_path, noise(30_000, 1), 16_000, None, overrides={"chain": [{"step": "peak_normalize"}]}, sink=sink)

    assert len([stage for stage, _ in sink.steps if stage is Stage.FINISH]) == 1
    assert sink.steps[-1][1].fraction < 0.5


def test_silence_stays_exact_silence_through_engine_and_chain(tmp_path: Path) -> None:
    wav = np.zeros((2, 30_000), dtype=np.float32)

    result = run(tmp_path, wav, 48_000, None, subtype="PCM_16")

    output, _ = read(result)
    assert output.shape == wav.shape
    assert not output.any()


def test_non_finite_samples_fail_with_the_time_of_the_first(tmp_path: Path) -> None:
    wav = noise(30_000, 1)
    wav[0, 24_000] = np.nan

    with pytest.raises(InvalidAudio, match=r"1\.500 s"):
        run(tmp_path, wav, 16_000, GainEnhancer())


def test_too_little_scratch_space_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = GainEnhancer()
    monkeypatch.setattr("core.enhancement.scratch.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())

    with pytest.raises(InsufficientDisk, match="MiB"):
        run(tmp_path, noise(30_000, 1), 16_000, engine)

    assert not engine.calls


def test_scratch_estimate_covers_what_a_long_chain_uses_and_not_much_more(tmp_path: Path) -> None:
    engine = GainEnhancer([0.6, 0.4], sample_rate=48_000, channels=2)
    steps = ("spectral_subtraction", "noise_gate", "spectral_subtraction", "low_pass", "noise_gate")
    chain = [{"step": step} for step in steps]
    used_bytes = 0

    class Watcher(Recorder):
        def __call__(self, stage: Stage, progress: Progress) -> None:
            nonlocal used_bytes
            used_bytes = max(used_bytes, sum(path.stat().st_size for path in (tmp_path / "workspace").iterdir()))

    run(tmp_path, noise(200_000, 2), 48_000, engine, overrides={"chain": chain}, sink=Watcher())

    options = resolve_options("speech", {"chain": chain})
    estimate_bytes = scratch_bytes(probe(tmp_path / "source.wav"), options=options, info=engine.info)
    assert used_bytes <= estimate_bytes < 1.5 * used_bytes


def test_several_outputs_get_names_of_their_own(tmp_path: Path) -> None:
    outputs = [{"format": "wav"}, {"format": "flac"}, {"format": "wav", "subtype": "PCM_24"}]

    result = run(tmp_path, noise(5_000, 1), 16_000, GainEnhancer(), outputs=outputs, subtype="PCM_16")

    assert [file.name for file in result.files] == ["talk.enhanced.wav", "talk.enhanced.flac", "talk.enhanced.3.wav"]
    assert [soundfile.info(file.path).subtype for file in result.files] == ["PCM_16", "PCM_16", "PCM_24"]


def test_samples_beyond_full_scale_are_counted_and_told(tmp_path: Path) -> None:
    wav = np.full((1, 5_000), 0.75, dtype=np.float32)

    result = run(tmp_path, wav, 16_000, GainEnhancer([2.0]), subtype="PCM_16")

    assert any("clipped: 5000 in 'talk.enhanced.wav'" in warning for warning in result.warnings)
    assert read(result)[0].max() <= 1.0


def test_the_chain_alone_runs_without_an_engine(tmp_path: Path) -> None:
    frames = 48_000
    rumble = 0.5 * np.sin(2 * np.pi * 20 * np.arange(frames) / 48_000)[None].astype(np.float32)

    result = run(tmp_path, rumble, 48_000, None, overrides={"chain": [{"step": "high_pass"}]})

    output, _ = read(result)
    assert result.report["model"] is None
    assert level_dbfs(output[:, 24_000:]) < level_dbfs(rumble) - 40


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    wav = noise(20_000, 2)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    hashes = {run(folder, wav, 44_100, GainEnhancer([0.5])).files[0].sha256 for folder in (first, second)}

    assert len(hashes) == 1


def test_a_peak_of_the_engine_is_reported_per_output(tmp_path: Path) -> None:
    wav = np.full((1, 5_000), 0.5, dtype=np.float32)
    engine = GainEnhancer([0.5])
    engine.info = replace(engine.info, name="half")

    result = run(tmp_path, wav, 16_000, engine)

    assert result.report["model"]["name"] == "half"
    assert result.report["input"]["peak_dbfs"] == pytest.approx(-6.02, abs=0.01)
    assert result.report["outputs"]["enhanced"]["peak_dbfs"] == pytest.approx(-12.04, abs=0.01)


def test_rms_match_gives_the_result_the_level_of_the_recording(tmp_path: Path) -> None:
    wav = noise(30_000, 2)

    result = run(tmp_path, wav, 44_100, GainEnhancer([0.1]), overrides={"chain": [{"step": "rms_match"}]})

    output, _ = read(result)
    assert np.sqrt(np.mean(output**2)) == pytest.approx(np.sqrt(np.mean(wav**2)), rel=1e-4)


def test_rms_match_that_is_switched_off_changes_nothing(tmp_path: Path) -> None:
    chain = [{"step": "rms_match", "enabled": False}]

    result = run(tmp_path, noise(30_000, 2), 44_100, GainEnhancer([0.1]), overrides={"chain": chain})

    assert result.report["outputs"]["enhanced"]["rms_dbfs"] < result.report["input"]["rms_dbfs"] - 15


@pytest.mark.parametrize("step", ["rms_match", "rms_normalize", "peak_normalize"])
def test_level_of_its_own_for_each_of_several_stems_is_refused(step: str) -> None:
    chain = [{"step": step}]

    with pytest.raises(InvalidOptions, match=r"this job has 4 \(drums, bass, other, vocals\)"):
        resolve_options("high", {"chain": chain})
    assert resolve_options("high", {"chain": chain, "stems": ["vocals"]}).chain[0]["step"] == step
    assert resolve_options("high", {"chain": [{"step": step, "enabled": False}]}).stems is None

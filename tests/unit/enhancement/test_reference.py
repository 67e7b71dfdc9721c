"""A clean reference beside the recording: what the report says of before and after, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from core.audio import intelligibility
from core.enhancement.pipeline import run_pipeline
from core.enhancement.protocol import FloatArray
from core.errors import InvalidAudio, InvalidOptions, UnsupportedMedia
from core.options import resolve_options
from tests.unit.enhancement.pipeline_runs import GainEnhancer

RATE = 16_000
SECONDS = 4.0


@pytest.fixture(autouse=True)
def _no_slow_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intelligibility, "installed_measures", lambda: {"stoi": None, "pesq_wb": None})


def noise(seed: int, *, channels: int = 1, sample_rate: int = RATE, seconds: float = SECONDS) -> FloatArray:
    shape = (channels, round(seconds * sample_rate))
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def tone(channels: int = 1, sample_rate: int = RATE, *, seconds: float = SECONDS) -> FloatArray:
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
    return np.repeat((0.3 * np.sin(2 * np.pi * 440 * time_s))[None], channels, axis=0).astype(np.float32)


def compare(
    tmp_path: Path,
    recording: FloatArray,
    reference: FloatArray,
    *,
    reference_rate: int = RATE,
    enhancer: GainEnhancer | None = None,
    overrides: dict[str, Any] | None = None,
) -> Any:  # noqa: ANN401 - JSON
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    soundfile.write(tmp_path / "noisy.wav", recording.T, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "clean.wav", reference.T, reference_rate, subtype="FLOAT")
    result = run_pipeline(
        tmp_path / "noisy.wav",
        options=resolve_options("clean-only", {"pictures": False, "chain": [], **(overrides or {})}),
        input_name="noisy.wav",
        workspace=workspace,
        enhancer=enhancer,
        on_progress=lambda stage, progress: None,
        reference=tmp_path / "clean.wav",
    )
    assert not list(workspace.glob("*.f32"))
    return json.loads(json.dumps(result.report, allow_nan=False))["reference"]


def si_sdr_db(estimate: FloatArray, clean: FloatArray) -> float:
    """By the formula, for one channel."""
    e, s = (wav[0].astype(np.float64) - wav[0].mean(dtype=np.float64) for wav in (estimate, clean))
    target = (e @ s) / (s @ s) * s
    return float(10 * np.log10((target @ target) / ((e - target) @ (e - target))))


def test_before_is_the_recording_and_after_the_first_output(tmp_path: Path) -> None:
    clean, hum = tone(), 0.2 * np.sin(2 * np.pi * 10 * np.arange(round(SECONDS * RATE)) / RATE)[None]
    noisy = (clean + hum).astype(np.float32)

    told = compare(tmp_path, noisy, clean, overrides={"chain": [{"step": "high_pass", "cutoff_hz": 40}]})

    assert told["before"]["si_sdr_db"] == pytest.approx(si_sdr_db(noisy, clean), abs=0.01)
    assert told["after"]["si_sdr_db"] > told["before"]["si_sdr_db"] + 1
    assert told["before"]["stoi"] is told["after"]["pesq_wb"] is None


def test_gain_does_not_count(tmp_path: Path) -> None:
    noisy = tone() + noise(1)

    told = compare(tmp_path, noisy, tone(), enhancer=GainEnhancer([0.25]))

    assert told["after"]["si_sdr_db"] == pytest.approx(told["before"]["si_sdr_db"], abs=0.01)


def test_reference_at_another_rate_is_brought_to_the_recording_s(tmp_path: Path) -> None:
    clean = tone(sample_rate=48_000)
    recording = soxr.resample(clean[0], 48_000, RATE)[None].astype(np.float32) + noise(1)

    told = compare(tmp_path, recording, clean, reference_rate=48_000)

    assert told["before"]["si_sdr_db"] == pytest.approx(si_sdr_db(recording, tone()), abs=0.05)


@pytest.mark.parametrize(("channels", "reference_channels"), [(2, 1), (1, 2), (6, 1)])
def test_mono_and_more_channels_are_matched(tmp_path: Path, channels: int, reference_channels: int) -> None:
    one = noise(1)
    recording = tone(channels) + np.repeat(one, channels, axis=0)

    told = compare(tmp_path, recording, tone(reference_channels))

    assert told["before"]["si_sdr_db"] == pytest.approx(si_sdr_db(tone() + one, tone()), abs=0.02)


def test_perfect_copy_and_silence_have_no_figure(tmp_path: Path) -> None:
    copy, silence = tmp_path / "copy", tmp_path / "silence"
    copy.mkdir()
    silence.mkdir()

    assert compare(copy, tone(), tone())["before"]["si_sdr_db"] is None
    assert compare(silence, tone(), np.zeros_like(tone()))["before"]["si_sdr_db"] is None


def test_padding_of_an_encoder_is_tolerated_and_another_length_refused(tmp_path: Path) -> None:
    padded, longer = tmp_path / "padded", tmp_path / "longer"
    padded.mkdir()
    longer.mkdir()

    assert compare(padded, tone() + noise(1), tone(seconds=SECONDS + 0.05))["before"]["si_sdr_db"] is not None
    with pytest.raises(InvalidAudio, match=r"The reference lasts 4\.20 s, and the recording 4\.00 s"):
        compare(longer, tone(), tone(seconds=SECONDS + 0.2))


def test_channels_that_cannot_be_matched_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio, match="has 3 channels, and the recording 2"):
        compare(tmp_path, tone(2), tone(3))


def test_reference_of_several_outputs_is_refused_before_the_work(tmp_path: Path) -> None:
    engine = GainEnhancer([0.5, 0.5])

    with pytest.raises(InvalidOptions, match="A reference is of one output"):
        compare(tmp_path, tone(), tone(), enhancer=engine)

    assert not engine.calls


def test_what_is_no_audio_is_refused_as_a_reference(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    soundfile.write(tmp_path / "noisy.wav", tone().T, RATE)
    (tmp_path / "clean.wav").write_text("no audio")

    with pytest.raises(UnsupportedMedia, match="the reference"):
        run_pipeline(
            tmp_path / "noisy.wav",
            options=resolve_options("clean-only", {"pictures": False}),
            input_name="noisy.wav",
            workspace=tmp_path / "text",
            enhancer=None,
            on_progress=lambda stage, progress: None,
            reference=tmp_path / "clean.wav",
        )

"""The level of speech is brought back after an engine that shrinks it, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.enhancement.kept_level import LevelFit
from core.enhancement.protocol import FloatArray
from tests.unit.enhancement.pipeline_runs import GainEnhancer, level_dbfs, noise, read, run

FRAMES = 48_000


def fitted_gain_db(recording: FloatArray, estimate: FloatArray, *, block: int = 1000) -> float:
    fit = LevelFit()
    for start in range(0, recording.shape[1], block):
        fit.update(recording[:, start : start + block], estimate[:, start : start + block])
    return float(20 * np.log10(fit.gain))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
@pytest.mark.parametrize("loss_db", [0.5, 2.0, 4.0])
def test_speech_that_came_back_weaker_is_given_its_level(snr_db: float, loss_db: float) -> None:
    speech = noise(FRAMES, 2, seed=1)
    recording = speech + 10 ** (-snr_db / 20) * noise(FRAMES, 2, seed=2)

    gain_db = fitted_gain_db(recording, 10 ** (-loss_db / 20) * speech)

    assert gain_db == pytest.approx(loss_db, abs=0.2)


def test_the_estimate_of_clean_speech_stays_as_it_is_to_the_bit() -> None:
    speech = noise(FRAMES, 1)

    assert fitted_gain_db(speech, speech) == 0


def test_an_estimate_is_never_turned_down() -> None:
    speech = noise(FRAMES, 1)

    assert fitted_gain_db(speech, 2 * speech) == 0


def test_no_gain_exceeds_its_limit() -> None:
    speech = noise(FRAMES, 1)

    assert fitted_gain_db(speech, 0.3 * speech) == pytest.approx(6.0)


@pytest.mark.parametrize("left_db", [-20.0, -60.0])
def test_what_is_left_of_a_recording_of_noise_alone_is_not_raised(left_db: float) -> None:
    recording = noise(FRAMES, 1)

    assert fitted_gain_db(recording, 10 ** (left_db / 20) * recording) == 0


def test_silence_has_no_gain() -> None:
    silence = np.zeros((1, FRAMES), np.float32)

    assert fitted_gain_db(silence, silence) == 0
    assert fitted_gain_db(noise(FRAMES, 1), silence) == 0


@pytest.mark.parametrize("shrinks_speech", [True, False])
def test_a_job_mends_the_level_of_engines_that_shrink_speech_alone(tmp_path: Path, shrinks_speech: bool) -> None:
    wav = noise(FRAMES, 2)
    engine = GainEnhancer([0.8])
    engine.info = replace(engine.info, shrinks_speech=shrinks_speech)

    result = run(tmp_path, wav, 16_000, engine, overrides={"residual": True})

    output, _ = read(result, 0)
    residual, _ = read(result, 1)
    assert level_dbfs(output - (1.0 if shrinks_speech else 0.8) * wav) < -120
    assert level_dbfs(output + residual - wav) < -120
    assert result.report["model"]["level_gain_db"] == pytest.approx(1.94 if shrinks_speech else 0.0, abs=0.01)

"""Recordings that others made, in the formats of their programs; LIMPID_TEST_RECORDINGS names their folder.

They belong to their authors and are no part of the project: without the folder these tests are skipped.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.audio.decode import AudioReader
from core.audio.encode import encoded_rate
from core.audio.formats import LOSSY_OUTPUT_FORMATS, OUTPUT_FORMATS
from core.audio.types import FloatArray
from core.enhancement.loader import load_enhancer
from core.enhancement.pipeline import PipelineResult, run_pipeline
from core.options import resolve_options

FOLDER = Path(os.environ.get("LIMPID_TEST_RECORDINGS", ""))
SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aac", ".m4a", ".webm", ".aiff"}
RECORDINGS = sorted(path for path in FOLDER.glob("**/*") if path.suffix.lower() in SUFFIXES) if FOLDER.name else []
MUSIC = ("music_", "mixture", "horns", "bassguitar", "clav")
LENGTH_TOLERANCE_S = 0.2  # lossy encoders pad

pytestmark = [
    pytest.mark.skipif(not RECORDINGS, reason="LIMPID_TEST_RECORDINGS names no folder with recordings"),
    pytest.mark.timeout(600),
]


def run(source: Path, workspace: Path, preset: str, *formats: str, **overrides: Any) -> PipelineResult:  # noqa: ANN401
    options = resolve_options(preset, {"pictures": False, **overrides}, [{"format": name} for name in formats])
    enhancer = None
    if options.model is not None:
        enhancer = load_enhancer(options.model, models_dir=workspace, shifts=options.shifts, overlap=options.overlap)
    workspace.mkdir()
    return run_pipeline(
        source,
        options=options,
        input_name=source.name,
        workspace=workspace,
        enhancer=enhancer,
        on_progress=lambda stage, progress: None,
    )


def read(path: Path) -> tuple[FloatArray, int]:
    with AudioReader(path) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.sample_rate


@pytest.mark.parametrize("source", RECORDINGS, ids=lambda path: path.name)
def test_every_recording_comes_back_in_every_format(source: Path, tmp_path: Path) -> None:
    before, sample_rate = read(source)
    if before.shape[0] > 2:
        pytest.skip("MP3 holds two channels")

    results = [
        run(source, tmp_path / "first", "clean-only", *OUTPUT_FORMATS[:3], chain=[]),
        run(source, tmp_path / "second", "clean-only", *OUTPUT_FORMATS[3:], chain=[]),
    ]

    files = [file for result in results for file in result.files]
    assert [file.name.rpartition(".")[2] for file in files] == list(OUTPUT_FORMATS)
    for format, file in zip(OUTPUT_FORMATS, files, strict=True):
        after, rate = read(file.path)
        assert rate == encoded_rate(format, sample_rate)
        assert after.shape[0] == before.shape[0]
        if format in LOSSY_OUTPUT_FORMATS:
            assert after.shape[1] / rate == pytest.approx(before.shape[1] / sample_rate, abs=LENGTH_TOLERANCE_S)
        else:
            assert after.shape == before.shape
            assert np.abs(after - np.clip(before, -1, 1)).max() <= 2**-15


@pytest.mark.parametrize("source", RECORDINGS, ids=lambda path: path.name)
def test_music_is_warned_of_and_speech_is_not(source: Path, tmp_path: Path) -> None:
    if source.stem in ("drums", "leadguitar"):
        pytest.skip("the detector is known not to see them (docs/report.md)")
    result = run(source, tmp_path / "work", "speech", "wav")

    is_warned = any("sounds like music" in warning for warning in result.warnings)
    assert is_warned == source.name.startswith(MUSIC), result.report["input"]["tonal_ratio"]


@pytest.mark.skipif(find_spec("speechmos") is None, reason="speechmos is not installed")
def test_dnsmos_rates_the_result_higher_than_the_noisy_recording(tmp_path: Path) -> None:
    [noisy] = [path for path in RECORDINGS if path.name == "noisy_snr0_48k.wav"]

    report = run(noisy, tmp_path / "work", "speech", "wav", dnsmos=True).report

    assert report["outputs"]["enhanced"]["dnsmos"]["background"] > report["input"]["dnsmos"]["background"] + 0.5

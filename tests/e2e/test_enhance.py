"""`limpid enhance` as a command of its own: the bundled model on the bundled recording."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import soundfile

from cli.demo import compare
from tests.e2e.stack import run_limpid


def test_bundled_model_improves_the_bundled_recording(tmp_path: Path) -> None:
    with importlib.resources.as_file(importlib.resources.files("cli.recordings")) as bundled:
        done = run_limpid("enhance", bundled / "noisy.flac", "-o", tmp_path / "enhanced.wav")
        figures = compare(
            bundled / "clean.flac", bundled / "noisy.flac", tmp_path / "enhanced.wav", picture=tmp_path / "figure.png"
        )
        noisy = soundfile.info(bundled / "noisy.flac")

    assert done.returncode == 0, done.stderr
    assert soundfile.info(tmp_path / "enhanced.wav").frames == noisy.frames
    assert figures["enhanced"]["si_sdr_db"] > figures["noisy"]["si_sdr_db"] + 3


def test_exit_status_tells_of_a_file_that_is_no_audio(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("words, not sound. " * 50, encoding="utf-8")

    done = run_limpid("enhance", text, "-o", tmp_path / "results")

    assert done.returncode == 1
    assert done.stderr.startswith(f"limpid: {text}: ")
    assert len(done.stderr.splitlines()) == 1

"""The benchmark of recordings beyond 4 GiB, on small ones: what it would find there, it finds here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.large import KINDS, NULL, largest_difference, measure


def write(path: Path, wav: np.ndarray) -> Path:
    soundfile.write(path, wav, 48_000, subtype="FLOAT")
    return path


@pytest.mark.parametrize(("kind", "frame_bytes", "container"), [("rf64", 32, "RIFF"), ("flac", 24, "fLaC")])
def test_job_returns_the_recording_and_leaves_nothing_behind(
    tmp_path: Path, kind: str, frame_bytes: int, container: str
) -> None:
    found = measure(0.002, tmp_path, KINDS[kind])

    assert found["frames"] == found["output_frames"] == round(0.002 * 2**30 / frame_bytes)
    assert found["largest_difference"] < NULL
    assert found["output_container"] == container
    assert not list(tmp_path.iterdir())


def test_one_wrong_sample_is_found_wherever_it_is(tmp_path: Path) -> None:
    wav = np.random.default_rng(0).uniform(-1, 1, (100_000, 2)).astype(np.float32)
    changed = wav.copy()
    changed[99_999, 1] += np.float32(0.25)

    difference = largest_difference(write(tmp_path / "a.wav", wav), write(tmp_path / "b.wav", changed))

    assert difference == pytest.approx(0.25)


def test_files_of_different_length_differ_without_end(tmp_path: Path) -> None:
    wav = np.zeros((1_000, 2), np.float32)

    assert largest_difference(write(tmp_path / "a.wav", wav), write(tmp_path / "b.wav", wav[:999])) == float("inf")

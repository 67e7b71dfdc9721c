"""`limpid bench` keeps what it measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import bench
from cli.bench import Measurement
from cli.main import app
from core.estimation.benchmark import FILE_NAME, read_benchmark


def fake_measurement(preset: str, recording: Path, *, threads: int) -> Measurement:
    return Measurement(
        preset=preset,
        model="cnn-mask",
        duration_s=2.0,
        load_s=1.0,
        processing_s=0.5,
        rtf=0.25,
        peak_memory_bytes=1,
        relative_cost=1.0,
    )


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_measure_apart", fake_measurement)


def run(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setenv("LIMPID_DATA_DIR", str(data_dir))
    result = CliRunner().invoke(app, ["bench", "--preset", "speech", "--seconds", "1", "--threads", "2", "--json"])
    assert result.exit_code == 0, result.output
    told: list[dict[str, Any]] = json.loads(result.stdout)
    return told


def test_figures_are_kept_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = run(tmp_path, monkeypatch)

    kept = read_benchmark(tmp_path)

    assert kept is not None
    (run_kept,) = kept.runs
    assert (run_kept.preset, run_kept.rtf, run_kept.threads) == (told["preset"], told["rtf"], 2)


def test_folder_that_cannot_be_written_does_not_hide_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILE_NAME).mkdir()

    assert run(tmp_path, monkeypatch)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]

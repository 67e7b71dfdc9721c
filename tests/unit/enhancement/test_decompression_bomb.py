"""A file that becomes far more sound than its header says: stopped while it is decoded, and the scratch disk kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.enhancement.pipeline import run_pipeline
from core.errors import InputTooLarge, InsufficientDisk
from core.options import resolve_options
from tests.chaos.hostile_files import flac_bomb

BOMB_BLOCKS = 40  # of 65,535 samples at 48 kHz: 54 s in 500 bytes, and the header does not say so
LIMIT_S = 5.0


def run(folder: Path, *, max_duration_s: float) -> None:
    bomb = folder / "bomb.flac"
    bomb.write_bytes(flac_bomb(blocks=BOMB_BLOCKS))
    workspace = folder / "workspace"
    workspace.mkdir()
    run_pipeline(
        bomb,
        options=resolve_options("clean-only", {"pictures": False}),
        input_name="bomb.flac",
        workspace=workspace,
        enhancer=None,
        on_progress=lambda stage, progress: None,
        max_duration_s=max_duration_s,
    )


def test_recording_that_turns_out_too_long_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputTooLarge, match=r"longer than its header says, and than the limit of 5\.0 s"):
        run(tmp_path, max_duration_s=LIMIT_S)

    assert list((tmp_path / "workspace").iterdir()) == []


def test_bomb_stops_before_the_scratch_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.enhancement.prepare._DISK_RESERVE_BYTES", 2**62)

    with pytest.raises(InsufficientDisk):
        run(tmp_path, max_duration_s=3600.0)

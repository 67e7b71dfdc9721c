"""Signals on disk come back sample for sample, from anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.enhancement.scratch import ScratchSignal


@pytest.mark.parametrize("channels", [1, 3])
def test_any_part_is_what_was_appended(tmp_path: Path, channels: int) -> None:
    wav = np.random.default_rng(0).standard_normal((channels, 10_000)).astype(np.float32)

    with ScratchSignal(tmp_path / "signal.f32", channels=channels, sample_rate=48_000) as signal:
        signal.append(wav[:, :3_000])
        assert np.array_equal(signal.read(1_000, 2_000), wav[:, 1_000:2_000])
        signal.append(wav[:, 3_000:3_000])
        signal.append(wav[:, 3_000:])

        assert signal.frames == 10_000
        assert np.array_equal(signal.read(0, 10_000), wav)
        assert np.array_equal(signal.read(2_999, 3_001), wav[:, 2_999:3_001])
        assert signal.read(5_000, 5_000).shape == (channels, 0)
        assert np.array_equal(np.concatenate(list(signal.blocks(block_frames=777)), axis=1), wav)
    assert not signal.path.exists()


def test_part_can_be_changed_without_changing_the_signal(tmp_path: Path) -> None:
    with ScratchSignal(tmp_path / "signal.f32", channels=1, sample_rate=48_000) as signal:
        signal.append(np.ones((1, 10), np.float32))

        signal.read(0, 10)[:] = 0

        assert np.array_equal(signal.read(0, 10), np.ones((1, 10)))


def test_part_beyond_the_end_is_refused(tmp_path: Path) -> None:
    with ScratchSignal(tmp_path / "signal.f32", channels=1, sample_rate=48_000) as signal:
        signal.append(np.ones((1, 10), np.float32))

        with pytest.raises(ValueError, match=r"\[5, 11\) is not within 10 frames"):
            signal.read(5, 11)


def test_file_that_was_cut_is_an_error(tmp_path: Path) -> None:
    with ScratchSignal(tmp_path / "signal.f32", channels=1, sample_rate=48_000) as signal:
        signal.append(np.ones((1, 1_000), np.float32))
        with signal.path.open("r+b") as file:
            file.truncate(100)

        with pytest.raises(OSError, match=r"signal\.f32 is shorter"):
            signal.read(0, 1_000)

"""Raw scratch files between two passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.dsp.raw_file import read_raw, write_raw
from core.dsp.step import FloatArray
from core.errors import InsufficientDisk
from tests.full_disk import file_size_limit
from tests.unit.dsp.signals import hiss


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_blocks_of_any_size_come_back_bit_exact(tmp_path: Path, channels: int) -> None:
    wav = hiss(1_001, rms=3.0, channels=channels)

    write_raw(tmp_path / "raw", [wav[:, :7], wav[:, 7:7], wav[:, 7:]])
    blocks = list(read_raw(tmp_path / "raw", channels=channels, block_frames=100))

    assert [block.shape[-1] for block in blocks] == [100] * 10 + [1]
    assert np.array_equal(np.concatenate(blocks, axis=-1), wav)


def test_full_disk_is_a_disk_error(tmp_path: Path) -> None:
    with file_size_limit(50_000), pytest.raises(InsufficientDisk, match="the disk is full"):
        write_raw(tmp_path / "raw", [hiss(100_000, rms=0.1)])


def test_failure_of_the_source_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    def source() -> Iterator[FloatArray]:
        yield hiss(10, rms=0.1)
        raise ConnectionError("the store does not answer")

    with pytest.raises(ConnectionError):
        write_raw(tmp_path / "raw", source())

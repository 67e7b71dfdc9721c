"""Raw float32 files that hold a signal between two passes of the chain; no header, frame after frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from core.dsp.step import FloatArray
from core.errors import InsufficientDisk


def write_raw(path: Path, blocks: Iterable[FloatArray]) -> None:
    """Write `blocks` (C, T) to `path`. Raises InsufficientDisk when the file system refuses."""
    with path.open("wb") as file:
        for block in blocks:
            frames = np.ascontiguousarray(block.T, np.float32)
            try:
                frames.tofile(file)
            except OSError as error:
                raise InsufficientDisk("The DSP chain could not write its scratch file: the disk is full.") from error


def read_raw(path: Path, *, channels: int, block_frames: int) -> Iterator[FloatArray]:
    """Yield what `write_raw` wrote in blocks (C, `block_frames`), the last one with what is left."""
    with path.open("rb") as file:
        while (values := np.fromfile(file, np.float32, block_frames * channels)).size:
            yield np.ascontiguousarray(values.reshape(-1, channels).T)

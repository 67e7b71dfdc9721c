"""Signals on disk: raw float32, time-major, so that they grow by appending and any part is one contiguous read."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from core.enhancement.protocol import FloatArray
from core.errors import InsufficientDisk

BYTES_PER_SAMPLE = 4
BLOCK_FRAMES = 65_536
"""Frames per block of every streaming pass: 1.4 s at 48 kHz, 0.5 MB in stereo."""

_MIB = 1024**2


class ScratchSignal:
    """A signal (channels, frames) in one file. Written once by `append`, then read at random; nothing is held.

    `gain` is applied to all that is read.
    """

    def __init__(self, path: Path, *, channels: int, sample_rate: int) -> None:
        self.path = path
        self.channels = channels
        self.sample_rate = sample_rate
        self.frames = 0
        self.gain = 1.0
        self._file = path.open("w+b", buffering=0)

    def append(self, wav: FloatArray) -> None:
        """Add `wav` (channels, frames) at the end; InsufficientDisk when the disk is full."""
        # In pieces, because turning them over takes a copy.
        for start in range(0, wav.shape[1], BLOCK_FRAMES):
            data = np.ascontiguousarray(wav[:, start : start + BLOCK_FRAMES].T, dtype=np.float32)
            try:
                self._transfer(self._file.write, data, at_frame=self.frames)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise InsufficientDisk(
                    "The scratch disk filled up during the job; free some space and retry."
                ) from error
            self.frames += data.shape[0]

    def read(self, start: int, stop: int) -> FloatArray:
        """Samples [start, stop) as (channels, stop - start); the range must lie inside the signal."""
        if not 0 <= start <= stop <= self.frames:
            raise ValueError(f"[{start}, {stop}) is not within {self.frames} frames")
        data = np.empty((stop - start, self.channels), np.float32)
        self._transfer(self._file.readinto, data, at_frame=start)
        if self.gain != 1:
            data *= np.float32(self.gain)
        return np.ascontiguousarray(data.T)

    def _transfer(self, move: Callable[[memoryview], int | None], data: FloatArray, *, at_frame: int) -> None:
        """Let the file read into `data` (frames, channels) or write it: the system may take several goes at it."""
        self._file.seek(at_frame * self.channels * BYTES_PER_SAMPLE)
        rest = data.reshape(-1).view(np.uint8).data
        while rest:
            count = move(rest)
            if not count:
                raise OSError(errno.EIO, f"the scratch file {self.path.name} is shorter than what was written to it")
            rest = rest[count:]

    def blocks(self, channels: slice = slice(None), *, block_frames: int = BLOCK_FRAMES) -> Iterator[FloatArray]:
        """The signal from the start in blocks (channels, <= block_frames)."""
        for start in range(0, self.frames, block_frames):
            yield self.read(start, min(start + block_frames, self.frames))[channels]

    def close(self) -> None:
        """Close and delete the file."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def require_free_disk(folder: Path, needed_bytes: int) -> None:
    """Refuse a job whose scratch files would not fit; InsufficientDisk names both figures."""
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise InsufficientDisk(
            f"The job needs {needed_bytes / _MIB:.0f} MiB of scratch space and {free_bytes / _MIB:.0f} MiB are free. "
            "Free some space, point LIMPID_SCRATCH_DIR at a larger disk, or submit a shorter file."
        )

"""Sample-rate conversion in a stream: soxr, linear phase, no delay, exact length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from core.audio.types import FloatArray


def expected_frames(frames: int, input_rate: int, output_rate: int) -> int:
    """Return how many frames `frames` at `input_rate` become at `output_rate`: ceil(frames * output / input)."""
    return -(-frames * output_rate // input_rate)


class StreamResampler:
    """Converts one stream (C, T) block by block; what the filter holds back comes out of `flush`.

    The output is aligned with the input (soxr takes out its own delay) and, blocks put together, does not depend on
    how the input was cut. Its total length is within one frame of `expected_frames`; `resample_stream` makes it exact.
    Equal rates pass the samples through untouched. `quality` is soxr's: VHQ is 28-bit precise.
    """

    def __init__(self, input_rate: int, output_rate: int, *, channels: int, quality: str = "VHQ") -> None:
        if input_rate < 1 or output_rate < 1 or channels < 1:
            raise ValueError(f"cannot resample {channels} channels from {input_rate} Hz to {output_rate} Hz")
        self.input_rate = input_rate
        self.output_rate = output_rate
        self.channels = channels
        self._stream: soxr.ResampleStream | None = None
        if input_rate != output_rate:
            self._stream = soxr.ResampleStream(input_rate, output_rate, channels, dtype="float32", quality=quality)

    def process(self, wav: FloatArray) -> FloatArray:
        """Return the frames (C, T') that `wav` (C, T) completes; T' may be 0."""
        if wav.ndim != 2 or wav.shape[0] != self.channels:
            raise ValueError(f"expected ({self.channels}, T), got {wav.shape}")
        return wav if self._stream is None else self._convert(wav, is_last=False)

    def flush(self) -> FloatArray:
        """Return the frames that were held back, (C, T'); call once, after the last block."""
        empty = np.empty((self.channels, 0), np.float32)
        return empty if self._stream is None else self._convert(empty, is_last=True)

    def _convert(self, wav: FloatArray, *, is_last: bool) -> FloatArray:
        if self._stream is None:
            raise ValueError("equal rates need no conversion")
        frames = np.ascontiguousarray(wav.T, dtype=np.float32)
        # soxr wants (T,) for one channel and (T, C) for more.
        converted = self._stream.resample_chunk(frames[:, 0] if self.channels == 1 else frames, last=is_last)
        return np.ascontiguousarray(np.reshape(converted, (-1, self.channels)).T, dtype=np.float32)


def resample_stream(
    blocks: Iterable[FloatArray],
    input_rate: int,
    *,
    output_rate: int,
    channels: int,
    output_frames: int | None = None,
    quality: str = "VHQ",
) -> Iterator[FloatArray]:
    """Yield `blocks` (C, T) at `output_rate`, exactly `output_frames` frames in all, none of the blocks empty.

    `output_frames` None means `expected_frames` of what came in. The input is taken to go on in silence, so the last
    frames are the filter's own; asked for more than that, the rest is zeros.
    """
    resampler = StreamResampler(input_rate, output_rate, channels=channels, quality=quality)
    frames_in = frames_out = 0
    for block in blocks:
        frames_in += block.shape[-1]
        converted = resampler.process(block)
        if output_frames is not None:
            converted = converted[:, : output_frames - frames_out]
        frames_out += converted.shape[-1]
        if converted.shape[-1]:
            yield converted
    total = expected_frames(frames_in, input_rate, output_rate) if output_frames is None else output_frames
    missing = total - frames_out
    if missing > 0:
        # soxr rounds the length down; two output frames' worth of silence at the input make it reach `total`.
        silence = np.zeros((channels, expected_frames(2, output_rate, input_rate)), np.float32)
        rest = np.concatenate([resampler.process(silence), resampler.flush()], axis=-1)[:, :missing]
        yield np.pad(rest, ((0, 0), (0, missing - rest.shape[-1])))

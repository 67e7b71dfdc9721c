"""Short-time Fourier transform over a stream: frames out of blocks, and blocks out of frames, exactly aligned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.dsp.step import FloatArray

OVERLAP = 4  # frames over each sample; Hann twice (analysis and synthesis) then adds up to a constant
# The sum over the four frames of a squared periodic Hann window: 4 * mean(hann^2) = 4 * 3/8.
WINDOW_GAIN = 1.5
BATCH_FRAMES = 512  # frames transformed at once, so that a long block takes no more memory than a short one


def hann_window(n_fft: int) -> FloatArray:
    """Return the periodic Hann window (n_fft,)."""
    from scipy.signal.windows import hann  # not at the top: see core/dsp/filters.py

    return np.asarray(hann(n_fft, sym=False), np.float32)


class FrameCutter:
    """Cuts a stream (C, T) into overlapping frames, the first of them starting `lead` samples before the stream."""

    def __init__(self, n_fft: int, channels: int, *, lead: int = 0) -> None:
        self._n_fft = n_fft
        self._hop_length = n_fft // OVERLAP
        self._held = np.zeros((channels, lead), np.float32)

    def cut(self, wav: FloatArray) -> Iterator[FloatArray]:
        """Yield the frames that `wav` completes, in batches (C, K, n_fft); views, not to be written to."""
        self._held = np.concatenate([self._held, wav], axis=-1)
        count = max(0, (self._held.shape[-1] - self._n_fft) // self._hop_length + 1)
        if count == 0:
            return
        windows = np.lib.stride_tricks.sliding_window_view(self._held, self._n_fft, axis=-1)
        frames = windows[:, : count * self._hop_length : self._hop_length]
        for start in range(0, count, BATCH_FRAMES):
            yield frames[:, start : start + BATCH_FRAMES]
        self._held = self._held[:, count * self._hop_length :].copy()


class OverlapAdder:
    """Adds overlapping frames up to a stream again; each batch of K frames completes K * hop_length samples."""

    def __init__(self, n_fft: int, channels: int) -> None:
        self._hop_length = n_fft // OVERLAP
        self._tail = np.zeros((channels, OVERLAP - 1, self._hop_length), np.float32)

    def add(self, frames: FloatArray) -> FloatArray:
        """Return the samples (C, K * hop_length) that `frames` (C, K, n_fft) complete."""
        channels, count, _ = frames.shape
        parts = frames.reshape(channels, count, OVERLAP, self._hop_length)
        summed = np.zeros((channels, count + OVERLAP - 1, self._hop_length), np.float32)
        summed[:, : OVERLAP - 1] = self._tail
        # In this order for every sample, whatever the batch, so that the block size does not change a bit.
        for part in reversed(range(OVERLAP)):
            summed[:, part : part + count] += parts[:, :, part]
        self._tail = summed[:, count:].copy()
        return summed[:, :count].reshape(channels, count * self._hop_length)


def mean_magnitude(spectrogram: NDArray[np.complex64]) -> FloatArray:
    """Return the root of the mean power over channels (K, F) of a spectrogram (C, K, F)."""
    if len(spectrogram) == 1:
        magnitude: FloatArray = np.abs(spectrogram[0])  # a fifth of the time of what follows
        return magnitude
    power = np.square(spectrogram.real) + np.square(spectrogram.imag)
    return np.asarray(np.sqrt(power.mean(axis=0)), np.float32)

"""A spectrogram of fixed size for a recording of any length, in constant memory and bounded work."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft

from core.audio.bandwidth import bandwidth_hz, sine_window, spectrum_samples
from core.audio.types import FloatArray

MAX_COLUMNS = 1480
FRAMES_PER_COLUMN = 2
"""At most. Up to 2 minutes at 48 kHz every sample is looked at; of longer columns, evenly spread frames are."""
MIN_HOP = 4
"""Frames start at least a quarter of their length apart: closer ones show nothing new."""


@dataclass(frozen=True, kw_only=True)
class Spectrogram:
    """`powers` (columns, bins), the mean over the channels; a sine of full scale is 1.

    The columns divide the recording evenly; the bins go from 0 Hz to half the sample rate.
    """

    sample_rate: int
    frames: int  # length of the recording
    powers: FloatArray

    @property
    def bin_hz(self) -> float:
        """Distance of the bins in Hz."""
        return self.sample_rate / (2 * (int(self.powers.shape[1]) - 1))

    @property
    def bandwidth_hz(self) -> float | None:
        """Which band the recording really uses, from 0 Hz on; None for silence and for less than one frame.

        Columns that reach beyond its ends do not count: where a sound is cut off, all frequencies seem to be there.
        """
        columns, bins = self.powers.shape
        n_fft = 2 * (bins - 1)
        outside = math.ceil(n_fft / 2 * columns / self.frames)
        inside = self.powers[outside : columns - outside] if self.frames >= n_fft else self.powers[:0]
        return bandwidth_hz(inside.mean(axis=0), sample_rate=self.sample_rate) if len(inside) else None


class SpectrogramMeter:
    """Feed blocks (C, T) of any size, `frames` in all. The first and last frames reach into silence."""

    def __init__(self, sample_rate: int, channels: int, *, frames: int, max_columns: int = MAX_COLUMNS) -> None:
        self._sample_rate = sample_rate
        self._frames = frames
        self._n_fft = spectrum_samples(sample_rate)
        self._window = sine_window(self._n_fft)
        columns = min(max_columns, max(frames * MIN_HOP // self._n_fft, 1))
        self._per_column = min(max(-(-frames // (columns * self._n_fft)), 1), FRAMES_PER_COLUMN)
        count = columns * self._per_column
        # Where each frame begins in a stream that starts with half a frame of silence.
        self._starts = ((np.arange(count) + 0.5) * frames / count).astype(np.int64)
        self._powers = np.zeros((columns, self._n_fft // 2 + 1), np.float32)
        self._done = 0
        self._held = np.zeros((channels, self._n_fft // 2), np.float32)
        self._held_start = 0

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T)."""
        held = np.concatenate([self._held, wav], axis=-1)
        available = self._held_start + held.shape[-1]
        ready = int(np.searchsorted(self._starts, available - self._n_fft, side="right"))
        if ready > self._done:
            self._add(held, self._starts[self._done : ready] - self._held_start)
        keep_from = int(self._starts[ready]) if ready < len(self._starts) else available
        cut = min(max(keep_from - self._held_start, 0), held.shape[-1])
        self._held = held[:, cut:].copy()
        self._held_start += cut

    def result(self) -> Spectrogram:
        """The spectrogram; call once, after the last block."""
        self.update(np.zeros((len(self._held), self._n_fft), np.float32))
        self._powers /= np.float32(self._per_column * len(self._held))
        return Spectrogram(sample_rate=self._sample_rate, frames=self._frames, powers=self._powers)

    def _add(self, held: FloatArray, starts: NDArray[np.int64]) -> None:
        for channel in held:
            frames = sliding_window_view(channel, self._n_fft)[starts]
            frames *= self._window
            spectrum = rfft(frames, overwrite_x=True)
            powers = np.abs(spectrum)  # half the time of the squares of both parts
            powers *= powers
            self._accumulate(powers)
        self._done += len(starts)

    def _accumulate(self, powers: FloatArray) -> None:
        """Add the next frames' `powers` (N, F) to their columns: the first of each column at once, then the second."""
        for place in range(self._per_column):
            first = (place - self._done) % self._per_column
            part = powers[first :: self._per_column]
            column = (self._done + first) // self._per_column
            self._powers[column : column + len(part)] += part

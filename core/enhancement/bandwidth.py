"""What lies above an engine's band: carried over with the gain that the engine gave to the top of its band.

An engine at 16 kHz hears nothing above 8 kHz. With L the recording brought to the engine's rate and back, the part
that it never heard is recording - L. It is added to the estimate times g(t), where g is the projection
<estimate, L> / <L, L> over the upper octave of the shared band, frame by frame: 1 where the engine let everything pass,
0 where it muted. So an engine that changes nothing gives back the recording itself, and the shares of all stems add up
to one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal.windows import hann

from core.audio.bandwidth import spectrum_samples
from core.audio.resample import resample_stream
from core.enhancement.protocol import FloatArray
from core.enhancement.scratch import BLOCK_FRAMES, ScratchSignal

BAND = (0.5, 0.95)
"""Of the shared band's upper end: the octave next to what is carried over, short of the resampler's transition."""
SMOOTHING = (0.25, 0.5, 0.25)
"""Over neighbouring frames, 20 ms apart: quick enough for a sibilant, too slow to be heard as modulation."""
INAUDIBLE_POWER = 1e-10
"""-100 dBFS: where the band holds less, there is nothing to judge by, and the part above is left as it is."""


class CarriedBand:
    """The estimate of one stem at the recording's rate, with the band that the engine lacks.

    `native` is the recording, `model` the same at the engine's rate, `estimates` what the engine made of it, stem after
    stem; this stem's channels are `channels`, and it is one of `stems`.
    """

    def __init__(
        self, native: ScratchSignal, model: ScratchSignal, estimates: ScratchSignal, *, channels: slice, stems: int
    ) -> None:
        self._native = native
        self._model = model
        self._estimates = estimates
        self._channels = channels
        self._share = 1 / stems
        self._n_fft = spectrum_samples(model.sample_rate)
        self._hop = self._n_fft // 2
        self._window = hann(self._n_fft, sym=False).astype(np.float32)
        upper_hz = min(native.sample_rate, model.sample_rate) / 2
        low, high = (round(edge * upper_hz * self._n_fft / model.sample_rate) for edge in BAND)
        self._bins = slice(low, max(high, low + 1))

    def blocks(self) -> Iterator[FloatArray]:
        """The stem (C, T) from the start, block by block, exactly as long as the recording."""
        native = self._native
        position = 0
        # One resampler for both, so that they come in the same blocks.
        for pair in resample_stream(
            self._pairs(),
            self._model.sample_rate,
            output_rate=native.sample_rate,
            channels=2 * native.channels,
            output_frames=native.frames,
        ):
            stop = position + pair.shape[1]
            estimate, heard = pair[: native.channels], pair[native.channels :]
            unheard = native.read(position, stop) - heard
            yield estimate + self.gain(position, stop) * unheard
            position = stop

    def gain(self, start: int, stop: int) -> FloatArray:
        """The gain (C, stop - start) at samples [start, stop) of the recording, 0..1."""
        frames_per_sample = self._model.sample_rate / self._native.sample_rate / self._hop
        times = np.arange(start, stop) * frames_per_sample
        first, last = int(times[0]), int(times[-1]) + 1
        gains = self._frame_gains(first, last + 1)
        return np.stack([np.interp(times, np.arange(first, last + 1), row) for row in gains]).astype(np.float32)

    def _frame_gains(self, first: int, stop: int) -> NDArray[np.float64]:
        """Gains (C, stop - first) of the frames whose middles are at multiples of the hop."""
        reach = len(SMOOTHING) // 2
        heard = self._spectra(self._model, slice(None), first - reach, stop + reach)
        estimate = self._spectra(self._estimates, self._channels, first - reach, stop + reach)
        power = _smooth(_inner(heard, heard))
        product = _smooth(_inner(estimate, heard))
        # The sum over the bins as a mean square: that of a Hann window is 3/8, and only half the spectrum is there.
        least = INAUDIBLE_POWER * 3 / 16 * self._n_fft**2
        return np.clip((product + self._share * least) / (power + least), 0.0, 1.0)

    def _spectra(self, signal: ScratchSignal, channels: slice, first: int, stop: int) -> NDArray[np.complex64]:
        """The band's bins (C, N, F) of frames [first, stop); silence surrounds the signal."""
        begin = first * self._hop - self._n_fft // 2
        end = (stop - 1) * self._hop + self._n_fft // 2
        inside = signal.read(min(max(begin, 0), signal.frames), min(max(end, 0), signal.frames))[channels]
        before = min(max(-begin, 0), end - begin - inside.shape[1])
        padded = np.pad(inside, ((0, 0), (before, end - begin - inside.shape[1] - before)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self._n_fft, axis=-1)[:, :: self._hop]
        return np.asarray(rfft(frames * self._window)[..., self._bins])

    def _pairs(self) -> Iterator[FloatArray]:
        for start in range(0, self._model.frames, BLOCK_FRAMES):
            stop = min(start + BLOCK_FRAMES, self._model.frames)
            yield np.concatenate([self._estimates.read(start, stop)[self._channels], self._model.read(start, stop)])


def _inner(first: NDArray[np.complex64], second: NDArray[np.complex64]) -> NDArray[np.float64]:
    products = first.real * second.real + first.imag * second.imag
    return np.asarray(products.sum(axis=-1, dtype=np.float64))


def _smooth(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.convolve(row, SMOOTHING, mode="valid") for row in frames])

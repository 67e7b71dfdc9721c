"""What lies above an engine's band: carried over with the gain that the engine gave to the top of its band.

An engine at 16 kHz hears nothing above 8 kHz. With L what it was given and E its estimate, the result is
g(t) recording + (E - g(t) L), the second term brought back to the recording's rate. g is the projection <E, L> / <L, L>
over the upper octave of the shared band, frame by frame: 1 where the engine let everything pass, 0 where it muted. So
an engine that changes nothing gives back the recording itself, bit by bit, and the shares of all stems add up to one.
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
        self._window = hann(self._n_fft, sym=False).astype(np.float32)
        upper_hz = min(native.sample_rate, model.sample_rate) / 2
        low, high = (round(edge * upper_hz * self._n_fft / model.sample_rate) for edge in BAND)
        self._bins = slice(low, max(high, low + 1))
        self._native_per_model = native.sample_rate / model.sample_rate
        # The middles of the frames are whole samples of the recording, whose gain then is one ramp after another.
        self._hop = max(round(self._n_fft / 2 * self._native_per_model), 1)
        self._ramp = _ramp(self._hop)
        # Where one rate is a multiple of the other, they mostly are whole samples at the engine's rate too.
        model_hop, rest = divmod(self._hop * model.sample_rate, native.sample_rate)
        self._model_ramp = None if rest else _ramp(model_hop)
        self._first = 0  # the first of the frames whose gains are kept
        self._gains = np.empty((native.channels, 0))

    def blocks(self) -> Iterator[FloatArray]:
        """The stem (C, T) from the start, block by block, exactly as long as the recording."""
        native = self._native
        position = 0
        for correction in resample_stream(
            self._corrections(),
            self._model.sample_rate,
            output_rate=native.sample_rate,
            channels=native.channels,
            output_frames=native.frames,
        ):
            stop = position + correction.shape[1]
            wav = native.read(position, stop)
            wav *= self.gain(position, stop)
            wav += correction
            yield wav
            position = stop
            self._forget(position // self._hop)

    def gain(self, start: int, stop: int) -> FloatArray:
        """The gain (C, stop - start) at samples [start, stop) of the recording, 0..1."""
        return self._ramps(start, stop, self._ramp)

    def _ramps(self, start: int, stop: int, ramp: FloatArray) -> FloatArray:
        """The gain at samples [start, stop) of a signal with a frame every `len(ramp)` samples."""
        hop = len(ramp)
        first, last = start // hop, (stop - 1) // hop
        frames = self._frame_gains(first, last + 2).astype(np.float32)
        ramps = np.diff(frames)[..., np.newaxis] * ramp
        ramps += frames[:, :-1, np.newaxis]
        return ramps.reshape(len(frames), -1)[:, start - first * hop : stop - first * hop]

    def _corrections(self) -> Iterator[FloatArray]:
        """The estimate less the gain times what the engine was given, at the engine's rate."""
        # As long as `BLOCK_FRAMES` at the recording's rate: larger blocks leave the cache.
        block_frames = max(min(BLOCK_FRAMES, round(BLOCK_FRAMES / self._native_per_model)), 1)
        for start in range(0, self._model.frames, block_frames):
            stop = min(start + block_frames, self._model.frames)
            heard = self._model.read(start, stop)
            heard *= self._model_gain(start, stop)
            yield np.subtract(self._estimates.read(start, stop)[self._channels], heard, out=heard)

    def _model_gain(self, start: int, stop: int) -> FloatArray:
        """The gain (C, stop - start) at samples [start, stop) of the signal at the engine's rate."""
        if self._model_ramp is not None:
            return self._ramps(start, stop, self._model_ramp)
        times = np.arange(start, stop) * (self._native_per_model / self._hop)
        first, last = int(times[0]), int(times[-1]) + 1
        gains = self._frame_gains(first, last + 1)
        return np.stack([np.interp(times, np.arange(first, last + 1), row) for row in gains]).astype(np.float32)

    def _frame_gains(self, first: int, stop: int) -> NDArray[np.float64]:
        """Gains (C, stop - first) of the frames whose middles are at multiples of the hop; new ones are kept."""
        known = self._first + self._gains.shape[1]
        if not self._first <= first <= known:
            self._first = known = first
            self._gains = self._gains[:, :0]
        if stop > known:
            self._gains = np.concatenate([self._gains, self._measure(known, stop)], axis=1)
        return self._gains[:, first - self._first : stop - self._first]

    def _forget(self, first: int) -> None:
        """Keep the gains from frame `first` on only."""
        self._gains = self._gains[:, max(first - self._first, 0) :]
        self._first = max(first, self._first)

    def _measure(self, first: int, stop: int) -> NDArray[np.float64]:
        reach = len(SMOOTHING) // 2
        heard = self._spectra(self._model, slice(None), first - reach, stop + reach)
        estimate = self._spectra(self._estimates, self._channels, first - reach, stop + reach)
        power = _smooth(_inner(heard, heard))
        product = _smooth(_inner(estimate, heard))
        # The sum over the bins as a mean square: that of a Hann window is 3/8, and only half the spectrum is there.
        least = INAUDIBLE_POWER * 3 / 16 * self._n_fft**2
        return np.clip((product + self._share * least) / (power + least), 0.0, 1.0)

    def _spectra(self, signal: ScratchSignal, channels: slice, first: int, stop: int) -> FloatArray:
        """The band of frames [first, stop), real and imaginary parts, (C, N, 2 F); silence surrounds the signal."""
        middles = np.rint(np.arange(first, stop) * (self._hop / self._native_per_model)).astype(np.intp)
        begin, end = int(middles[0]) - self._n_fft // 2, int(middles[-1]) + self._n_fft // 2
        inside = signal.read(min(max(begin, 0), signal.frames), min(max(end, 0), signal.frames))[channels]
        if inside.shape[1] < end - begin:
            before = min(max(-begin, 0), end - begin - inside.shape[1])
            inside = np.pad(inside, ((0, 0), (before, end - begin - inside.shape[1] - before)))
        frames = np.lib.stride_tricks.sliding_window_view(inside, self._n_fft, axis=-1)[:, middles - middles[0]]
        frames *= self._window
        spectra = rfft(frames, overwrite_x=True)
        return np.asarray(spectra[..., self._bins]).view(np.float32)


def _ramp(hop: int) -> FloatArray:
    return (np.arange(hop) / hop).astype(np.float32)


def _inner(first: FloatArray, second: FloatArray) -> NDArray[np.float64]:
    return np.asarray(np.vecdot(first, second), dtype=np.float64)


def _smooth(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.convolve(row, SMOOTHING, mode="valid") for row in frames])

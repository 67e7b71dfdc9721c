"""Which band of the spectrum a recording really uses, whatever its sample rate promises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal.windows import hann

from core.audio.types import FloatArray

RELATIVE_FLOOR_DB = -80.0
"""Below the strongest bin: under what a microphone, tape or 16-bit converter leaves, above what a window leaks."""
ABSOLUTE_FLOOR_DBFS = -115.0
"""Per bin, a sine of full scale being 0 dB: above the rounding noise of 16 bits (-123), which is white."""
WINDOW_S = 0.04


def spectrum_samples(sample_rate: int) -> int:
    """The power of two nearest to `WINDOW_S`, on a logarithmic scale: 2048 at 44.1 and 48 kHz, 512 at 16 kHz."""
    return 1 << max(round(float(np.log2(WINDOW_S * sample_rate))), 4)


def sine_window(n_fft: int) -> FloatArray:
    """A periodic Hann window (n_fft,) scaled so that a sine of amplitude A in the middle of a bin has power A^2."""
    window = hann(n_fft, sym=False)
    return np.asarray(2 * window / window.sum(), dtype=np.float32)


class BandwidthMeter:
    """Averages power spectra; `result` is the highest frequency in Hz that stands out of the noise floor.

    Feed frames (C, N, T) of at least `n_fft` samples each; the first `n_fft` of each are looked at.
    """

    def __init__(self, sample_rate: int) -> None:
        self.n_fft = spectrum_samples(sample_rate)
        self._sample_rate = sample_rate
        self._window = sine_window(self.n_fft)
        self._powers = np.zeros(self.n_fft // 2 + 1)
        self._frames = 0

    def update(self, frames: FloatArray) -> None:
        """Take in `frames` (C, N, T)."""
        if frames.shape[1] == 0:
            return
        spectrum = rfft(frames[..., : self.n_fft] * self._window)
        self._powers += (spectrum.real**2 + spectrum.imag**2).sum(axis=(0, 1), dtype=np.float64)
        self._frames += frames.shape[0] * frames.shape[1]

    def result(self) -> float | None:
        """The bandwidth in Hz, at most half the sample rate; None for silence or nothing at all."""
        powers: NDArray[np.float64] = self._powers / max(self._frames, 1)
        floor = max(10 ** (ABSOLUTE_FLOOR_DBFS / 10), float(powers.max()) * 10 ** (RELATIVE_FLOOR_DB / 10))
        used = np.flatnonzero(powers > floor)
        return float(used[-1]) * self._sample_rate / self.n_fft if len(used) else None

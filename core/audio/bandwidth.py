"""Which band of the spectrum a recording really uses, whatever its sample rate promises."""

from __future__ import annotations

import numpy as np
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


def bandwidth_hz(powers: FloatArray, *, sample_rate: int) -> float | None:
    """The highest frequency in Hz that stands out of the noise floor of a mean spectrum; None for silence.

    `powers` (F,) from 0 Hz to half the sample rate, seen through a `sine_window`.
    """
    floor = max(10 ** (ABSOLUTE_FLOOR_DBFS / 10), float(powers.max()) * 10 ** (RELATIVE_FLOOR_DB / 10))
    used = np.flatnonzero(powers > floor)
    return float(used[-1]) * sample_rate / (2 * (len(powers) - 1)) if len(used) else None

"""Changes to a whole batch of mixtures, as Demucs is trained with: remix, band-mask and shift (Defossez et al., 2020).

Arrays are (B, T) float32; noise = noisy - clean.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

FloatArray = NDArray[np.float32]

MASK_BANDS = 120
MASK_LOW_HZ = 40.0


def remix(noisy: FloatArray, clean: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the mixtures of `clean` with the noises in another order."""
    return np.asarray(clean + (noisy - clean)[rng.permutation(len(noisy))], dtype=np.float32)


def draw_masked_band(rng: np.random.Generator, *, width: float, sample_rate: int) -> tuple[float, float]:
    """Return the edges in Hz of a random band that is at most the share `width` (0..1) of the mel scale wide."""
    mel = np.linspace(_mel(MASK_LOW_HZ), _mel(sample_rate / 2), MASK_BANDS)
    frequencies_hz = 700 * (10 ** (mel / 2595) - 1)
    low = int(rng.integers(MASK_BANDS))
    high = int(rng.integers(low, min(MASK_BANDS, low + max(1, round(width * MASK_BANDS)))))
    return float(frequencies_hz[low]), float(frequencies_hz[high])


def mask_band(wav: FloatArray, *, low_hz: float, high_hz: float, sample_rate: int) -> FloatArray:
    """Return `wav` (..., T) without the band: its low pass at `high_hz` is taken off and that at `low_hz` put back.

    Both are windowed sinc filters of the same length, so nothing is delayed. An empty band leaves `wav` as it is.
    """
    if high_hz <= low_hz:
        return wav
    half = int(2 * sample_rate / low_hz)
    band = _low_pass(high_hz / sample_rate, half) - _low_pass(low_hz / sample_rate, half)
    kernel = band.reshape((1,) * (wav.ndim - 1) + (-1,))
    return np.asarray(wav - oaconvolve(wav, kernel, mode="full", axes=-1)[..., half:-half], dtype=np.float32)


def shift(
    noisy: FloatArray, clean: FloatArray, rng: np.random.Generator, *, samples: int
) -> tuple[FloatArray, FloatArray]:
    """Return crops (B, T - samples) that begin up to `samples` later, in noise and speech of an item alike."""
    length = noisy.shape[-1] - samples
    index = rng.integers(samples, size=(len(noisy), 1)) + np.arange(length)
    return np.take_along_axis(noisy, index, axis=-1), np.take_along_axis(clean, index, axis=-1)


def _mel(frequency_hz: float) -> float:
    return 2595 * math.log10(1 + frequency_hz / 700)


def _low_pass(cutoff: float, half: int) -> NDArray[np.float64]:
    """Return the taps (2 half + 1,) of a low pass at `cutoff` (a share of the sample rate), of gain 1 at 0 Hz."""
    taps = np.hamming(2 * half + 1) * np.sinc(2 * cutoff * np.arange(-half, half + 1))
    return np.asarray(taps / taps.sum(), dtype=np.float64)

"""Spectral subtraction: takes the steady part of the noise, learned from the quietest frames, out of every frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from core.dsp.step import (
    Analysis,
    FloatArray,
    Processor,
    db_to_gain,
    require_analysis,
    require_integer,
    require_range,
)
from core.dsp.stft import OVERLAP, WINDOW_GAIN, FrameCutter, OverlapAdder, hann_window, mean_magnitude
from core.errors import InvalidOptions

REFERENCE_RATE = 16_000  # Hz; the rate for which `n_fft` is given
MIN_N_FFT = 64

# Frames are sorted by level into half-decibel classes, so that the quietest ones are known after one pass in constant
# memory. What lies below the lowest class is digital silence: it says nothing of the noise and is left out.
LOWEST_LEVEL_DB, HIGHEST_LEVEL_DB, LEVEL_STEP_DB = -120.0, 60.0, 0.5


@dataclass(frozen=True, kw_only=True)
class SpectralSubtraction:
    """Scales each bin by max(1 - over_subtraction * noise / magnitude, floor), S. Boll's magnitude subtraction (1979).

    The noise is the mean magnitude, per bin, of the quietest `quiet_fraction` (0..1) of all frames that are not digital
    silence; `floor_db` bounds the attenuation, which keeps "musical" tones down. `n_fft` is for 16 kHz, where 512 are
    32 ms, and becomes the power of two of that duration at other rates; frames overlap by three quarters. One mask,
    from the mean power over channels, acts on all channels. A recording shorter than one frame passes unchanged.
    """

    name: ClassVar[str] = "spectral_subtraction"

    n_fft: int = 512
    quiet_fraction: float = 0.15
    over_subtraction: float = 1.5
    floor_db: float = -20.0
    enabled: bool = True

    def __post_init__(self) -> None:
        require_integer(self.name, "n_fft", self.n_fft, low=MIN_N_FFT, high=8_192)
        if self.n_fft & (self.n_fft - 1):
            raise InvalidOptions(f"{self.name}: n_fft is {self.n_fft}; it must be a power of two")
        require_range(self.name, "quiet_fraction", self.quiet_fraction, low=0.01, high=1.0)
        require_range(self.name, "over_subtraction", self.over_subtraction, low=0.0, high=10.0)
        require_range(self.name, "floor_db", self.floor_db, low=-80, high=0, unit="dB")

    def analyser(self, sample_rate: int, channels: int) -> NoiseFloorAnalyser:
        return NoiseFloorAnalyser(self._n_fft_at(sample_rate), channels, quiet_fraction=self.quiet_fraction)

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        noise = require_analysis(self.name, analysis) * self.over_subtraction
        return _Subtractor(
            self._n_fft_at(sample_rate), channels, noise=noise.astype(np.float32), floor=db_to_gain(self.floor_db)
        )

    def _n_fft_at(self, sample_rate: int) -> int:
        octaves = round(math.log2(sample_rate / REFERENCE_RATE))
        return max(MIN_N_FFT, int(self.n_fft * 2.0**octaves))


class NoiseFloorAnalyser:
    """Estimates the noise magnitude (F,) from the quietest frames; zeros when no frame says anything."""

    def __init__(self, n_fft: int, channels: int, *, quiet_fraction: float) -> None:
        classes = int((HIGHEST_LEVEL_DB - LOWEST_LEVEL_DB) / LEVEL_STEP_DB)
        self._quiet_fraction = quiet_fraction
        self._window = hann_window(n_fft)
        self._cutter = FrameCutter(n_fft, channels)
        self._counts = np.zeros(classes, np.int64)
        self._magnitude_sums = np.zeros((classes, n_fft // 2 + 1))

    def update(self, wav: FloatArray) -> None:
        for frames in self._cutter.cut(wav):
            magnitude = mean_magnitude(rfft(frames * self._window))
            power = np.vecdot(frames, frames).mean(axis=0, dtype=np.float64) / frames.shape[-1]
            level_db = 10 * np.log10(np.maximum(power, 1e-30))
            classes = np.floor((level_db - LOWEST_LEVEL_DB) / LEVEL_STEP_DB).astype(np.int64)
            classes = np.minimum(classes, len(self._counts) - 1)
            for row in np.unique(classes[classes >= 0]):
                members = classes == row
                self._counts[row] += np.count_nonzero(members)
                self._magnitude_sums[row] += magnitude[members].sum(axis=0, dtype=np.float64)

    def result(self) -> Analysis:
        wanted = self._quiet_fraction * self._counts.sum()
        before = np.cumsum(self._counts) - self._counts
        # How many frames of each class belong to the quietest: all, none, or in the last class a share of them.
        taken = np.clip(wanted - before, 0, self._counts)
        shares = taken / np.maximum(self._counts, 1)
        return np.asarray(shares @ self._magnitude_sums / max(float(taken.sum()), 1e-9))


class _Subtractor:
    def __init__(self, n_fft: int, channels: int, *, noise: FloatArray, floor: float) -> None:
        # Frames start before the signal, so that its first samples too lie under all their frames.
        self._lead = n_fft - n_fft // OVERLAP
        self._n_fft = n_fft
        self._channels = channels
        self._window = hann_window(n_fft)
        self._synthesis_window = self._window / np.float32(WINDOW_GAIN)
        self._cutter = FrameCutter(n_fft, channels, lead=self._lead)
        self._adder = OverlapAdder(n_fft, channels)
        self._noise = noise
        self._floor = np.float32(floor)
        self._samples_in = 0
        self._samples_out = -self._lead

    def process(self, wav: FloatArray) -> FloatArray:
        self._samples_in += wav.shape[-1]
        return self._run(wav)

    def flush(self) -> FloatArray:
        return self._run(np.zeros((self._channels, self._n_fft), np.float32))

    def _run(self, wav: FloatArray) -> FloatArray:
        blocks = [self._adder.add(self._subtract(frames)) for frames in self._cutter.cut(wav)]
        joined = np.concatenate([np.empty((self._channels, 0), np.float32), *blocks], axis=-1)
        start = self._samples_out
        self._samples_out = min(start + joined.shape[-1], self._samples_in)
        return joined[:, max(0, -start) : max(0, self._samples_out - start)]

    def _subtract(self, frames: FloatArray) -> FloatArray:
        spectrogram: NDArray[np.complex64] = rfft(frames * self._window, overwrite_x=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            mask = self._noise / mean_magnitude(spectrogram)
        np.subtract(np.float32(1), mask, out=mask)
        # Not `maximum`: where there is neither sound nor noise the quotient is no number.
        np.fmax(mask, self._floor, out=mask)
        spectrogram *= mask
        restored: FloatArray = irfft(spectrogram, n=self._n_fft, overwrite_x=True)
        restored *= self._synthesis_window
        return restored

"""The step that takes mains hum out: finds 50 or 60 Hz and its harmonics, and notches those that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len, rfft

from core.audio.framing import Framer
from core.dsp.filters import SosProcessor
from core.dsp.step import (
    Analysis,
    FloatArray,
    PassThrough,
    Processor,
    require_analysis,
    require_integer,
    require_range,
)

MAINS_HZ = (50.0, 60.0)
MAINS_TOLERANCE = 0.015  # of the frequency: carriers are rarely played back at their exact speed
SEARCH_STEP_HZ = 0.02
WINDOW_S = 4.0  # bins of 0.25 Hz tell hum from voices and most music
NEAR_HZ = (2.0, 8.0)  # what a harmonic is compared with lies so far on either side
REACH_BINS = 3  # a stationary tone under a Hann window is found within
MIN_HARMONICS = 3  # fewer are as likely a bass note


class HumAnalyser:
    """Averages log power spectra of 4-s frames; a tone counts as hum when it stands out almost all the time.

    The mean of logarithms is that of the usual level: a note that sounds now and then hardly moves it. `result` holds
    the frequencies (Hz) of the harmonics to be taken out, ascending, empty without hum or below 4 s of signal.
    """

    def __init__(self, sample_rate: int, channels: int, *, max_harmonics: int, min_prominence_db: float) -> None:
        from scipy.signal.windows import hann  # not at the top: see core/dsp/filters.py

        self._sample_rate = sample_rate
        self._max_harmonics = max_harmonics
        self._min_prominence_db = min_prominence_db
        self._frame_samples = round(WINDOW_S * sample_rate)
        self._n_fft = next_fast_len(self._frame_samples, real=True)
        highest_hz = max(MAINS_HZ) * (1 + MAINS_TOLERANCE) * max_harmonics + 2 * NEAR_HZ[1]
        self._bins = min(self._n_fft // 2, int(highest_hz * self._n_fft / sample_rate)) + 1
        self._window = hann(self._frame_samples, sym=False)
        self._framer: Framer[np.float32] = Framer(self._frame_samples)
        self._log_power = np.zeros(self._bins)
        self._frames = 0

    def update(self, wav: FloatArray) -> None:
        frames = self._framer.push(wav)  # (C, N, T)
        for frame in frames.transpose(1, 0, 2):
            # Powers, not signals, are averaged over channels: hum in opposite phase would cancel.
            power = np.square(np.abs(rfft(frame * self._window, self._n_fft)[:, : self._bins])).mean(axis=0)
            self._log_power += 10 * np.log10(power + np.finfo(np.float64).tiny)
            self._frames += 1

    def result(self) -> Analysis:
        if self._frames == 0:
            return np.empty(0)
        level_db = self._log_power / self._frames
        bin_hz = self._sample_rate / self._n_fft
        prominence_db = level_db - _surroundings_db(level_db, bin_hz)
        found = [self._harmonics(prominence_db, mains_hz, bin_hz) for mains_hz in MAINS_HZ]
        best = max(found, key=len)
        return best if len(best) >= MIN_HARMONICS else np.empty(0)

    def _harmonics(self, prominence_db: NDArray[np.float64], mains_hz: float, bin_hz: float) -> Analysis:
        """The prominent harmonics of the fundamental near `mains_hz` that explains most prominence."""
        orders = np.arange(1, self._max_harmonics + 1)
        reach_hz = MAINS_TOLERANCE * mains_hz
        candidates = np.arange(mains_hz - reach_hz, mains_hz + reach_hz, SEARCH_STEP_HZ)
        positions = np.outer(candidates, orders) / bin_hz
        inside = positions < len(prominence_db) - REACH_BINS - 1
        bins = np.where(inside, np.round(positions), 0).astype(int)
        around = np.maximum(np.maximum(prominence_db[bins], prominence_db[bins - 1]), prominence_db[bins + 1])
        scores = np.where(inside, np.clip(around, 0, 40), 0).sum(axis=1)
        fundamental_hz = candidates[int(np.argmax(scores))]
        harmonics = []
        for order in orders:
            centre = round(order * fundamental_hz / bin_hz)
            if centre + REACH_BINS >= len(prominence_db):
                break
            peak = centre - REACH_BINS + int(np.argmax(prominence_db[centre - REACH_BINS : centre + REACH_BINS + 1]))
            if prominence_db[peak] >= self._min_prominence_db:
                harmonics.append((peak + _peak_offset(prominence_db, peak)) * bin_hz)
        return np.array(harmonics)


@dataclass(frozen=True, kw_only=True)
class HumFilter:
    """Takes out mains hum: 50 or 60 Hz within 1.5 % and those of its harmonics, up to `max_harmonics`, that are there.

    A harmonic is there when it stands `min_prominence_db` out of what is 2 to 8 Hz beside it, on average over the whole
    recording; three of them make hum. Each gets a notch `width_hz` wide at -3 dB. Without hum nothing is changed.
    """

    name: ClassVar[str] = "hum_filter"

    max_harmonics: int = 20
    min_prominence_db: float = 12.0
    width_hz: float = 1.0
    enabled: bool = True

    def __post_init__(self) -> None:
        require_integer(self.name, "max_harmonics", self.max_harmonics, low=MIN_HARMONICS, high=60)
        require_range(self.name, "min_prominence_db", self.min_prominence_db, low=3, high=60, unit="dB")
        require_range(self.name, "width_hz", self.width_hz, low=0.2, high=10, unit="Hz")

    def analyser(self, sample_rate: int, channels: int) -> HumAnalyser:
        return HumAnalyser(
            sample_rate, channels, max_harmonics=self.max_harmonics, min_prominence_db=self.min_prominence_db
        )

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        frequencies = [float(hz) for hz in require_analysis(self.name, analysis) if hz < 0.49 * sample_rate]
        if not frequencies:
            return PassThrough(channels)
        from scipy.signal import iirnotch

        sections = [np.concatenate(iirnotch(hz, hz / self.width_hz, fs=sample_rate)) for hz in frequencies]
        return SosProcessor(np.array(sections), channels)


def _surroundings_db(level_db: NDArray[np.float64], bin_hz: float) -> NDArray[np.float64]:
    """The median level of what lies 2 to 8 Hz on either side of each bin."""
    near, far = (max(1, round(hz / bin_hz)) for hz in NEAR_HZ)
    padded = np.pad(level_db, far, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * far + 1)
    beside = np.concatenate((windows[:, : far - near + 1], windows[:, far + near :]), axis=1)
    return np.asarray(np.median(beside, axis=1))


def _peak_offset(level_db: NDArray[np.float64], peak: int) -> float:
    """Where between bins the top of the parabola through three levels lies, -0.5..0.5."""
    if not 0 < peak < len(level_db) - 1:
        return 0.0
    left, middle, right = level_db[peak - 1 : peak + 2]
    curvature = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0

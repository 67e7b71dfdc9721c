"""Equalizer bands: peaking filters, and the three bands of the voice chain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.dsp.filters import MAX_CUTOFF_HZ, SosProcessor
from core.dsp.step import Analysis, PassThrough, Processor, require_range
from core.errors import InvalidOptions

MAX_GAIN_DB = 24.0


@dataclass(frozen=True, kw_only=True)
class EqualizerBand:
    """Raises or lowers one band by `gain_db` at its centre, sqrt(low_hz * high_hz), and by half of that at its edges.

    The halves are in dB. A peaking biquad, which is a band-pass added to or subtracted from the signal with the phase
    that makes the gain exact (see `peaking_sections`). Where the centre is not below half the sample rate the band does
    nothing.
    """

    name: str = "equalizer_band"

    low_hz: float
    high_hz: float
    gain_db: float
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "low_hz", self.low_hz, low=10, high=MAX_CUTOFF_HZ, unit="Hz")
        require_range(self.name, "high_hz", self.high_hz, low=10, high=MAX_CUTOFF_HZ, unit="Hz")
        require_range(self.name, "gain_db", self.gain_db, low=-MAX_GAIN_DB, high=MAX_GAIN_DB, unit="dB")
        if self.low_hz >= self.high_hz:
            raise InvalidOptions(
                f"{self.name}: low_hz ({self.low_hz:g} Hz) must be below high_hz ({self.high_hz:g} Hz)"
            )

    def analyser(self, sample_rate: int, channels: int) -> None:
        return None

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        if math.sqrt(self.low_hz * self.high_hz) >= sample_rate / 2 or self.gain_db == 0:
            return PassThrough(channels)
        sections = peaking_sections(self.low_hz, self.high_hz, gain_db=self.gain_db, sample_rate=sample_rate)
        return SosProcessor(sections, channels)


def peaking_sections(low_hz: float, high_hz: float, *, gain_db: float, sample_rate: int) -> NDArray[np.float64]:
    """Return the section (1, 6) of a peaking filter whose half-gain points are `low_hz` and `high_hz`.

    Robert Bristow-Johnson's cookbook (W3C Audio EQ Cookbook): peakingEQ with a bandwidth in octaves, whose formula
    takes the frequency warping of the bilinear transform into account at the centre.
    """
    amplitude = 10 ** (gain_db / 40)
    centre = 2 * math.pi * math.sqrt(low_hz * high_hz) / sample_rate
    octaves = math.log2(high_hz / low_hz)
    alpha = math.sin(centre) * math.sinh(math.log(2) / 2 * octaves * centre / math.sin(centre))
    numerator = np.array([1 + alpha * amplitude, -2 * math.cos(centre), 1 - alpha * amplitude])
    denominator = np.array([1 + alpha / amplitude, -2 * math.cos(centre), 1 - alpha / amplitude])
    return np.asarray([[*numerator, *denominator]] / denominator[0], np.float64)


MUD_CUT = EqualizerBand(name="mud_cut", low_hz=200.0, high_hz=400.0, gain_db=-3.0)
PRESENCE_BOOST = EqualizerBand(name="presence_boost", low_hz=2_000.0, high_hz=3_000.0, gain_db=4.0)
CLARITY_BOOST = EqualizerBand(name="clarity_boost", low_hz=1_000.0, high_hz=5_000.0, gain_db=5.0)

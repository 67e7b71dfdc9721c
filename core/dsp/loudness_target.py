"""The step that brings a recording to a programme loudness without letting its true peak pass a ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.audio.loudness import LoudnessMeter
from core.dsp.levels import GainProcessor
from core.dsp.step import Analysis, FloatArray, Processor, db_to_gain, require_analysis, require_range


class LoudnessAnalyser:
    """Measures integrated loudness (LUFS) and true peak (dBTP); the result is both, nan for what there is none of."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._meter = LoudnessMeter(sample_rate, channels)

    def update(self, wav: FloatArray) -> None:
        self._meter.update(wav)

    def result(self) -> Analysis:
        found = self._meter.result()
        return np.array([found.integrated_lufs, found.true_peak_dbtp], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class LoudnessNormalize:
    """Scales the recording, all channels by one gain, to `target_lufs` (EBU R 128: -23), dynamics as they are.

    Where the true peak would pass `max_true_peak_dbtp` the gain is lowered: the result then is quieter than the target,
    never limited. The gain never exceeds `max_gain_db`. Silence, and what is too short to have a loudness (400 ms),
    stays as it is.
    """

    name: ClassVar[str] = "loudness_normalize"

    target_lufs: float = -23.0
    max_true_peak_dbtp: float = -1.0
    max_gain_db: float = 30.0
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "target_lufs", self.target_lufs, low=-50, high=-5, unit="LUFS")
        require_range(self.name, "max_true_peak_dbtp", self.max_true_peak_dbtp, low=-20, high=0, unit="dBTP")
        require_range(self.name, "max_gain_db", self.max_gain_db, low=0, high=120, unit="dB")

    def analyser(self, sample_rate: int, channels: int) -> LoudnessAnalyser:
        return LoudnessAnalyser(sample_rate, channels)

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        loudness_lufs, true_peak_dbtp = require_analysis(self.name, analysis)
        if not np.isfinite(loudness_lufs):
            return GainProcessor(1.0, channels)
        room_db = self.max_true_peak_dbtp - true_peak_dbtp
        gain_db = min(self.target_lufs - loudness_lufs, room_db, self.max_gain_db)
        return GainProcessor(db_to_gain(gain_db), channels)

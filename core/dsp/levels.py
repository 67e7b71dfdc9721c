"""Steps that set the level: to a peak, to an RMS, to the recording's own; and a soft clipper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.dsp.step import Analysis, FloatArray, Processor, db_to_gain, require_analysis, require_range


class PeakAnalyser:
    """Finds the largest absolute sample over all channels; the result has shape ()."""

    def __init__(self) -> None:
        self._peak = 0.0

    def update(self, wav: FloatArray) -> None:
        self._peak = max(self._peak, float(np.max(np.abs(wav), initial=0.0)))

    def result(self) -> Analysis:
        return np.array(self._peak)


@dataclass(frozen=True, kw_only=True)
class PeakNormalize:
    """Scales the recording, all channels by one gain, so that its peak is `peak` (amplitude, 0..1).

    The gain never exceeds `max_gain_db`: what is quieter than that below full scale is the residue of an empty
    recording, and lifting it would fill the room with noise. Silence stays silence.
    """

    name: ClassVar[str] = "peak_normalize"

    peak: float = 0.99
    max_gain_db: float = 40.0
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "peak", self.peak, low=0.01, high=1.0)
        require_range(self.name, "max_gain_db", self.max_gain_db, low=0, high=120, unit="dB")

    def analyser(self, sample_rate: int, channels: int) -> PeakAnalyser:
        return PeakAnalyser()

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        peak = float(require_analysis(self.name, analysis))
        gain = min(self.peak / peak, db_to_gain(self.max_gain_db)) if peak > 0 else 1.0
        return GainProcessor(gain, channels)


class GainProcessor:
    """Multiplies a stream by one gain (amplitude ratio)."""

    def __init__(self, gain: float, channels: int) -> None:
        self._gain = gain
        self._channels = channels

    def process(self, wav: FloatArray) -> FloatArray:
        return (wav * np.float64(self._gain)).astype(np.float32)

    def flush(self) -> FloatArray:
        return np.empty((self._channels, 0), np.float32)


@dataclass(frozen=True, kw_only=True)
class SoftClip:
    """Rounds off peaks: linear up to `threshold` (amplitude, 0..1), beyond it a tanh that approaches 1.

    The curve and its slope are continuous at the threshold, so what stays below it is bit-exact.
    """

    name: ClassVar[str] = "soft_clip"

    threshold: float = 0.9
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "threshold", self.threshold, low=0.0, high=0.999)

    def analyser(self, sample_rate: int, channels: int) -> None:
        return None

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        return _SoftClipper(self.threshold, channels)


class _SoftClipper:
    def __init__(self, threshold: float, channels: int) -> None:
        self._threshold = threshold
        self._channels = channels

    def process(self, wav: FloatArray) -> FloatArray:
        magnitude = np.abs(wav)
        room = 1.0 - self._threshold
        bent = self._threshold + room * np.tanh((magnitude - self._threshold) / room)
        return np.where(magnitude <= self._threshold, wav, np.copysign(bent, wav)).astype(np.float32)

    def flush(self) -> FloatArray:
        return np.empty((self._channels, 0), np.float32)


@dataclass(frozen=True, kw_only=True)
class RmsNormalize:
    """Scales the recording, all channels by one gain, so that its RMS is `rms_db` (dB re full scale).

    Pauses count: the RMS is over all samples. The gain never exceeds `max_gain_db`, see `PeakNormalize`; peaks may pass
    full scale, which is what a `soft_clip` after it is for. Silence stays silence.
    """

    name: ClassVar[str] = "rms_normalize"

    rms_db: float = -20.0
    max_gain_db: float = 40.0
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "rms_db", self.rms_db, low=-60, high=0, unit="dB")
        require_range(self.name, "max_gain_db", self.max_gain_db, low=0, high=120, unit="dB")

    def analyser(self, sample_rate: int, channels: int) -> RmsAnalyser:
        return RmsAnalyser()

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        rms = float(require_analysis(self.name, analysis))
        gain = min(db_to_gain(self.rms_db) / rms, db_to_gain(self.max_gain_db)) if rms > 0 else 1.0
        return GainProcessor(gain, channels)


@dataclass(frozen=True, kw_only=True)
class RmsMatch:
    """Gives the result the RMS that the recording had before the model and the chain, all channels by one gain.

    One gain for the whole keeps the dynamics as they are. RMS, `max_gain_db` and silence as in `RmsNormalize`. The
    recording's RMS is not in a chain's stream, so it is `against` it that a chain runs; `start` raises ValueError.
    """

    name: ClassVar[str] = "rms_match"

    max_gain_db: float = 40.0
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "max_gain_db", self.max_gain_db, low=0, high=120, unit="dB")

    def against(self, rms: float) -> RmsTarget:
        """The step for a recording of this RMS (amplitude, 0 for silence: the result stays as it is)."""
        return RmsTarget(rms=rms, max_gain_db=self.max_gain_db, enabled=self.enabled)

    def analyser(self, sample_rate: int, channels: int) -> RmsAnalyser:
        return RmsAnalyser()

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        raise ValueError(f"{self.name} runs against a recording's RMS")


@dataclass(frozen=True, kw_only=True)
class RmsTarget:
    """`RmsMatch` that knows its recording."""

    name: ClassVar[str] = RmsMatch.name

    rms: float
    max_gain_db: float
    enabled: bool

    def analyser(self, sample_rate: int, channels: int) -> RmsAnalyser:
        return RmsAnalyser()

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        rms = float(require_analysis(self.name, analysis))
        gain = min(self.rms / rms, db_to_gain(self.max_gain_db)) if self.rms > 0 and rms > 0 else 1.0
        return GainProcessor(gain, channels)


class RmsAnalyser:
    """Finds the RMS over all samples of all channels; the result has shape (), 0 for no samples."""

    def __init__(self) -> None:
        self._energy = 0.0
        self._samples = 0

    def update(self, wav: FloatArray) -> None:
        self._energy += float(np.sum(np.square(wav, dtype=np.float64)))
        self._samples += wav.size

    def result(self) -> Analysis:
        return np.asarray(np.sqrt(self._energy / max(self._samples, 1)))

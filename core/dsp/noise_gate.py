"""A soft noise gate: turns the gaps between words down, without look-ahead artefacts and without clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.dsp.step import (
    Analysis,
    FloatArray,
    Processor,
    db_to_gain,
    require_analysis,
    require_range,
)


@dataclass(frozen=True, kw_only=True)
class NoiseGate:
    """Scales every sample by min(1, envelope / threshold)^2.

    The envelope is the RMS over a window of `smoothing_ms` centred on the sample, of all channels together, so that
    they share one mask. The threshold is `threshold_db` below the largest value that the envelope takes in the whole
    recording: relative, so that the result does not depend on the recording's level, and to the envelope instead of the
    peak sample, so that one click does not raise it. 10 dB below the threshold a sample goes down by 20 dB.
    """

    name: ClassVar[str] = "noise_gate"

    threshold_db: float = -30.0
    smoothing_ms: float = 40.0
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "threshold_db", self.threshold_db, low=-90, high=0, unit="dB")
        require_range(self.name, "smoothing_ms", self.smoothing_ms, low=1, high=1_000, unit="ms")

    def analyser(self, sample_rate: int, channels: int) -> EnvelopePeakAnalyser:
        return EnvelopePeakAnalyser(self._reach_samples(sample_rate))

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        loudest_power = float(require_analysis(self.name, analysis))
        threshold_power = loudest_power * db_to_gain(self.threshold_db) ** 2
        return _Gate(self._reach_samples(sample_rate), channels, threshold_power=threshold_power)

    def _reach_samples(self, sample_rate: int) -> int:
        return max(1, round(self.smoothing_ms * sample_rate / 2_000))


class PowerEnvelope:
    """The mean power over channels and over 2 * `reach_samples` + 1 samples around each sample; silence outside."""

    def __init__(self, reach_samples: int) -> None:
        self._reach = reach_samples
        self._window = 2 * reach_samples + 1
        self._held: NDArray[np.float64] = np.zeros(reach_samples)

    def process(self, wav: FloatArray) -> NDArray[np.float64]:
        """Return the envelope (T',) of the samples whose window `wav` (C, T) completes."""
        power = np.square(wav[0], dtype=np.float64)  # a third of the time of a mean over the channels
        for channel in wav[1:]:
            power += np.square(channel, dtype=np.float64)
        power /= len(wav)
        return self._average(power)

    def flush(self) -> NDArray[np.float64]:
        """Return the envelope of the last `reach_samples` samples, or of all when there were fewer."""
        return self._average(np.zeros(self._reach))

    def _average(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        held = np.concatenate([self._held, power])
        self._held = held[max(0, held.size - self._window + 1) :]
        if held.size < self._window:
            return np.empty(0)
        sums = np.concatenate([[0.0], np.cumsum(held)])
        envelope: NDArray[np.float64] = sums[self._window :] - sums[: -self._window]
        # Rounding of the running sum can leave a negative trace after loud samples.
        np.maximum(envelope, 0.0, out=envelope)
        envelope /= self._window
        return envelope


class EnvelopePeakAnalyser:
    """Finds the largest value of the power envelope; the result has shape ()."""

    def __init__(self, reach_samples: int) -> None:
        self._envelope = PowerEnvelope(reach_samples)
        self._peak = 0.0

    def update(self, wav: FloatArray) -> None:
        self._peak = max(self._peak, float(np.max(self._envelope.process(wav), initial=0.0)))

    def result(self) -> Analysis:
        return np.array(max(self._peak, float(np.max(self._envelope.flush(), initial=0.0))))


class _Gate:
    def __init__(self, reach_samples: int, channels: int, *, threshold_power: float) -> None:
        self._envelope = PowerEnvelope(reach_samples)
        self._threshold_power = threshold_power
        self._held = np.empty((channels, 0), np.float32)

    def process(self, wav: FloatArray) -> FloatArray:
        self._held = np.concatenate([self._held, wav], axis=-1)
        return self._release(self._envelope.process(wav))

    def flush(self) -> FloatArray:
        return self._release(self._envelope.flush())

    def _release(self, envelope: NDArray[np.float64]) -> FloatArray:
        wav, self._held = self._held[:, : envelope.size], self._held[:, envelope.size :]
        if self._threshold_power == 0:
            return wav
        # The square of an amplitude ratio is a ratio of powers.
        gain = envelope / self._threshold_power
        np.minimum(gain, 1.0, out=gain)
        return wav * gain.astype(np.float32)

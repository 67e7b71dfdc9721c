"""Recursive filters as second-order sections with carried state, and the two Butterworth steps of the voice chain.

scipy.signal is imported where a step runs, here and in the other steps: it takes most of a second to load, and the API,
which only checks chains, can do without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.dsp.step import Analysis, FloatArray, PassThrough, Processor, require_integer, require_range
from core.errors import InvalidOptions

MAX_CUTOFF_HZ = 384_000.0
MAX_ORDER = 12


class SosProcessor:
    """Filters a stream (C, T) through second-order sections (N, 6), causally, from silence; computes in float64."""

    def __init__(self, sections: NDArray[np.float64], channels: int) -> None:
        self._sections = sections
        self._state = np.zeros((sections.shape[0], channels, 2))
        self._channels = channels

    def process(self, wav: FloatArray) -> FloatArray:
        if not wav.shape[-1]:
            return wav
        from scipy.signal import sosfilt

        filtered, self._state = sosfilt(self._sections, wav.astype(np.float64), axis=-1, zi=self._state)
        return np.asarray(filtered, np.float32)

    def flush(self) -> FloatArray:
        return np.empty((self._channels, 0), np.float32)

    def then(self, following: SosProcessor) -> SosProcessor:
        """This filter and the `following` one as one, neither of which has begun."""
        return SosProcessor(np.concatenate([self._sections, following._sections]), self._channels)


def join_filters(processors: Iterable[Processor]) -> list[Processor]:
    """Return `processors`, none of which has begun, with filters that follow each other as one.

    That takes half the time: a section waits for its own last sample, and meanwhile the others of its filter can run.
    """
    joined: list[Processor] = []
    for processor in processors:
        last = joined[-1] if joined else None
        if isinstance(processor, SosProcessor) and isinstance(last, SosProcessor):
            joined[-1] = last.then(processor)
        elif not isinstance(processor, PassThrough):
            joined.append(processor)
    return joined


@dataclass(frozen=True, kw_only=True)
class HighPass:
    """Takes out rumble: a Butterworth high-pass, -3 dB at `cutoff_hz`, falling by 6 dB per octave and order.

    InvalidOptions when the cutoff is not below half the sample rate, for nothing would be left.
    """

    name: ClassVar[str] = "high_pass"

    cutoff_hz: float = 80.0
    order: int = 4
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "cutoff_hz", self.cutoff_hz, low=1, high=MAX_CUTOFF_HZ, unit="Hz")
        require_integer(self.name, "order", self.order, low=1, high=MAX_ORDER)

    def analyser(self, sample_rate: int, channels: int) -> None:
        return None

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        if self.cutoff_hz >= sample_rate / 2:
            raise InvalidOptions(
                f"{self.name}: cutoff_hz is {self.cutoff_hz:g}; "
                f"at {sample_rate} Hz it must be below {sample_rate / 2:g} Hz"
            )
        return _butterworth("highpass", self.order, self.cutoff_hz, sample_rate, channels)


@dataclass(frozen=True, kw_only=True)
class LowPass:
    """Takes out hiss above the voice: a Butterworth low-pass, -3 dB at `cutoff_hz`.

    It acts whenever the cutoff is below half the sample rate, at 16 kHz too; above, there is nothing to take out.
    """

    name: ClassVar[str] = "low_pass"

    cutoff_hz: float = 6_200.0
    order: int = 6
    enabled: bool = True

    def __post_init__(self) -> None:
        require_range(self.name, "cutoff_hz", self.cutoff_hz, low=1, high=MAX_CUTOFF_HZ, unit="Hz")
        require_integer(self.name, "order", self.order, low=1, high=MAX_ORDER)

    def analyser(self, sample_rate: int, channels: int) -> None:
        return None

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        if self.cutoff_hz >= sample_rate / 2:
            return PassThrough(channels)
        return _butterworth("lowpass", self.order, self.cutoff_hz, sample_rate, channels)


def _butterworth(kind: str, order: int, cutoff_hz: float, sample_rate: int, channels: int) -> SosProcessor:
    from scipy.signal import butter

    return SosProcessor(butter(order, cutoff_hz, kind, fs=sample_rate, output="sos"), channels)

"""The ports of the DSP chain: a step, the processor that runs it over a stream, the analyser that looks ahead for it.

A step is data: a frozen dataclass of parameters, valid once it exists. What it needs of the whole signal it takes from
its analyser's pass; then its processor turns the same stream into an equally long, aligned one.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidOptions

FloatArray = NDArray[np.float32]
Analysis = NDArray[np.float64]
"""What an analyser found; shape and unit are the step's own."""


class Processor(Protocol):
    """One run of a step over one stream, its state carried from block to block."""

    def process(self, wav: FloatArray) -> FloatArray:
        """Return the samples (C, T') that `wav` (C, T) completes; T' may be smaller than T, or 0."""
        ...

    def flush(self) -> FloatArray:
        """Return the samples (C, T') that were held back; once, after the last block."""
        ...


class Analyser(Protocol):
    """One look at the whole signal, in bounded memory."""

    def update(self, wav: FloatArray) -> None: ...

    def result(self) -> Analysis: ...


class Step(Protocol):
    """One effect with its parameters. Block sizes never change its result; all channels share gains and masks."""

    @property
    def name(self) -> str:
        """The step's name in JSON."""
        ...

    @property
    def enabled(self) -> bool: ...

    def analyser(self, sample_rate: int, channels: int) -> Analyser | None:
        """Return what must see the step's whole input first, None when one pass is enough."""
        ...

    def start(self, sample_rate: int, channels: int, *, analysis: Analysis | None = None) -> Processor:
        """Return a processor; `analysis` is the analyser's result. InvalidOptions when the rate rules the step out."""
        ...


class PassThrough:
    """The processor of a step that has nothing to do at this rate."""

    def __init__(self, channels: int) -> None:
        self._channels = channels

    def process(self, wav: FloatArray) -> FloatArray:
        return wav

    def flush(self) -> FloatArray:
        return np.empty((self._channels, 0), np.float32)


def require_range(step: str, parameter: str, value: float, *, low: float, high: float, unit: str = "") -> None:
    """Raise InvalidOptions, naming parameter, value and limits, unless `value` is a number in [low, high]."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and low <= value <= high):
        suffix = f" {unit}" if unit else ""
        raise InvalidOptions(f"{step}: {parameter} is {value!r}; it must be {low:g} to {high:g}{suffix}")


def require_integer(step: str, parameter: str, value: int, *, low: int, high: int) -> None:
    """Raise InvalidOptions unless `value` is a whole number in [low, high]."""
    require_range(step, parameter, value, low=low, high=high)
    if not isinstance(value, int):
        raise InvalidOptions(f"{step}: {parameter} is {value!r}; it must be a whole number")


def require_analysis(step: str, analysis: Analysis | None) -> Analysis:
    """Return `analysis`; ValueError when the step was started without its analyser's pass."""
    if analysis is None:
        raise ValueError(f"{step} needs its analyser's result")
    return analysis


def db_to_gain(level_db: float) -> float:
    """Return the amplitude ratio of a level in dB."""
    return float(10.0 ** (level_db / 20.0))

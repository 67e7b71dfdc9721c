"""STOI and wideband PESQ of two estimates against one reference, in a stream, where their packages are installed."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

import numpy as np

from core.audio.resample import StreamResampler
from core.audio.types import FloatArray

SAMPLE_RATE = 16_000  # Hz; the rate of wideband PESQ
PIECE_S = 20.0
"""Signals are compared piece by piece: both measures are made for sentences, and a piece is all that is held."""

MIN_PIECE_S = 3.0
"""A shorter rest is left out, unless it is all that there is."""

MAX_PIECES = 30
"""The first ten minutes; what follows is not compared."""

Measure = Callable[[FloatArray, FloatArray], float | None]
"""Of an estimate (T,) and its reference (T,) at SAMPLE_RATE; None where the measure has no value."""


class IntelligibilityMeter:
    """Feed aligned blocks (C, T) of the reference and of the estimates; the channels are mixed down.

    `result` holds, for each estimate, the mean of each measure over the pieces that have a value: STOI (0..1, Taal et
    al., 2011) and PESQ (P.862.2 MOS-LQO, 1.02..4.64); None without any, or without the measure's package.
    """

    def __init__(self, sample_rate: int, estimates: int, *, measures: dict[str, Measure | None] | None = None) -> None:
        self._measures = installed_measures() if measures is None else measures
        self._resampler = StreamResampler(sample_rate, SAMPLE_RATE, channels=1 + estimates)
        self._held: list[FloatArray] = []
        self._held_frames = 0
        self._pieces = 0
        self._frames = 0
        self._values: list[dict[str, list[float]]] = [{name: [] for name in self._measures} for _ in range(estimates)]

    def update(self, reference: FloatArray, estimates: Sequence[FloatArray]) -> None:
        """Take in blocks (C, T) of the same length."""
        if self._is_done:
            return
        mono = np.stack([wav.mean(axis=0, dtype=np.float32) for wav in (reference, *estimates)])
        self._hold(self._resampler.process(mono))

    def result(self) -> list[dict[str, float | None]]:
        """The means, in the order of the estimates; to be asked once."""
        if not self._is_done:
            self._hold(self._resampler.flush())
            if self._held_frames >= MIN_PIECE_S * SAMPLE_RATE or (self._held_frames and not self._pieces):
                self._compare(np.concatenate(self._held, axis=1))
        return [
            {name: float(np.mean(values)) if values else None for name, values in estimate.items()}
            for estimate in self._values
        ]

    @property
    def compared_s(self) -> float:
        """Seconds that were compared, so far."""
        return self._frames / SAMPLE_RATE

    @property
    def _is_done(self) -> bool:
        return self._pieces >= MAX_PIECES or not any(self._measures.values())

    def _hold(self, wav: FloatArray) -> None:
        self._held.append(wav)
        self._held_frames += wav.shape[1]
        piece_frames = round(PIECE_S * SAMPLE_RATE)
        while self._held_frames >= piece_frames and not self._is_done:
            held = np.concatenate(self._held, axis=1)
            self._compare(held[:, :piece_frames])
            self._held, self._held_frames = [held[:, piece_frames:]], self._held_frames - piece_frames

    def _compare(self, piece: FloatArray) -> None:
        self._pieces += 1
        self._frames += piece.shape[1]
        reference = piece[0]
        for estimate, values in zip(piece[1:], self._values, strict=True):
            for name, value in self._measured(estimate, reference):
                values[name].append(value)

    def _measured(self, estimate: FloatArray, reference: FloatArray) -> Iterator[tuple[str, float]]:
        if not estimate.any() or not reference.any():
            return
        for name, measure in self._measures.items():
            value = None if measure is None else measure(estimate, reference)
            if value is not None:
                yield name, value


def installed_measures() -> dict[str, Measure | None]:
    """Both measures; None for one whose package is not installed."""
    return {"stoi": _stoi if find_spec("pystoi") else None, "pesq_wb": _pesq if find_spec("pesq") else None}


def _stoi(estimate: FloatArray, reference: FloatArray) -> float | None:
    package = importlib.import_module("pystoi")
    with warnings.catch_warnings():
        # It warns, and returns a meaningless 1e-5, where less than 0.4 s of the reference is speech.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(package.stoi(reference, estimate, SAMPLE_RATE))
        except RuntimeWarning:
            return None


def _pesq(estimate: FloatArray, reference: FloatArray) -> float | None:
    package = importlib.import_module("pesq")
    try:
        return float(package.pesq(SAMPLE_RATE, reference, estimate, "wb"))
    except (package.NoUtterancesError, package.BufferTooShortError):
        return None

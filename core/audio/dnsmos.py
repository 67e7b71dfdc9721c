"""DNSMOS P.835 of a signal in a stream, where its package `speechmos` is installed: how people would rate speech."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from core.audio.resample import StreamResampler, expected_frames
from core.audio.types import FloatArray

SAMPLE_RATE = 16_000  # Hz; that of the network
PIECE_FRAMES = 144_160  # 9.01 s, what the network hears at once
MAX_PIECES = 6  # about half a second of CPU time each

NAMES: Mapping[str, str] = {"overall": "ovrl_mos", "signal": "sig_mos", "background": "bak_mos", "p808": "p808_mos"}
"""Our names of the scores, 1 (bad) to 5, and the package's."""

Predict = Callable[[FloatArray], Mapping[str, float]]
"""The scores of a signal (T,) at SAMPLE_RATE within [-1, 1], under the package's names."""


class DnsmosMeter:
    """Feed blocks (C, T) of a signal of `frames` frames, ask `result` once at the end; one piece is held at a time.

    The channels are mixed down, and up to six pieces of 9 s, evenly spread over the whole, are scored. A signal that is
    shorter than a piece is repeated, as the package does. Pieces of exact silence are left out.
    """

    def __init__(self, sample_rate: int, *, frames: int, predict: Predict | None = None) -> None:
        total = expected_frames(frames, sample_rate, SAMPLE_RATE)
        count = min(max(total // PIECE_FRAMES, 1), MAX_PIECES)
        last = max(total - PIECE_FRAMES, 0)
        self._starts = [round(last * (index / (count - 1))) if count > 1 else 0 for index in range(count)]
        self._resampler = StreamResampler(sample_rate, SAMPLE_RATE, channels=1)
        self._predict = predict or predict_scores
        self._held = np.zeros(0, np.float32)
        self._position = 0  # of the first sample that is held
        self._scores: list[Mapping[str, float]] = []

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T)."""
        self._take(self._resampler.process(wav.mean(axis=0, keepdims=True, dtype=np.float32))[0])

    def result(self) -> dict[str, float] | None:
        """The mean of each score; None for silence."""
        self._take(self._resampler.flush()[0])
        if self._starts and len(self._held):
            self._score(self._held)
        if not self._scores:
            return None
        return {
            name: round(float(np.mean([scores[theirs] for scores in self._scores])), 2)
            for name, theirs in NAMES.items()
        }

    def _take(self, wav: FloatArray) -> None:
        if not self._starts:
            return
        self._held = np.concatenate([self._held, wav])
        while self._starts:
            skipped = min(max(self._starts[0] - self._position, 0), len(self._held))
            self._held, self._position = self._held[skipped:], self._position + skipped
            if len(self._held) < PIECE_FRAMES or self._position < self._starts[0]:
                return
            self._score(self._held[:PIECE_FRAMES])
            del self._starts[0]

    def _score(self, piece: FloatArray) -> None:
        if piece.any():
            self._scores.append(self._predict(np.clip(piece, -1.0, 1.0)))


def is_installed() -> bool:
    """True when signals can be scored here."""
    return find_spec("speechmos") is not None and find_spec("onnxruntime") is not None


def predict_scores(wav: FloatArray) -> Mapping[str, float]:
    """The scores of `wav` (T,) at SAMPLE_RATE within [-1, 1], under the package's names; by one thread."""
    scores: Mapping[str, float] = _package_run()(wav, sr=SAMPLE_RATE)
    return scores


@cache
def _package_run() -> Callable[..., Mapping[str, float]]:
    """The package's function, its networks in one thread: more wait by spinning, at the cost of other work."""
    package: Any = importlib.import_module("speechmos.dnsmos")
    runtime: Any = importlib.import_module("onnxruntime")
    folder = Path(package.__file__).absolute().parent / "dnsmos_models"
    primary, p808 = str(folder / "sig_bak_ovr.onnx"), str(folder / "model_v8.onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    scorer = package.DNSMOS(primary, p808)
    scorer.onnx_sess = runtime.InferenceSession(primary, options)
    scorer.p808_onnx_sess = runtime.InferenceSession(p808, options)
    package.dnsmos = scorer  # which `run` takes from now on
    run: Callable[..., Mapping[str, float]] = package.run
    return run

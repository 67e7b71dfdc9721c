"""Signals and runs that the DSP tests share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from core.dsp.chain import run_chain
from core.dsp.step import FloatArray, Step


def sine(frequency_hz: float, sample_rate: int, *, seconds: float = 1.0, amplitude: float = 0.5) -> FloatArray:
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time_s))[None].astype(np.float32)


def hiss(frames: int, *, rms: float, channels: int = 1, seed: int = 0) -> FloatArray:
    return (rms * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)


def level_db(wav: FloatArray) -> float:
    """Return the RMS level in dB re full scale."""
    return float(10 * np.log10(np.mean(np.square(wav, dtype=np.float64))))


def gain_at(step: Step, frequency_hz: float, sample_rate: int) -> float:
    """Return the step's gain in dB for a sine, after it has settled."""
    wav = sine(frequency_hz, sample_rate, seconds=3.0)
    settled = slice(2 * sample_rate, 3 * sample_rate)
    return level_db(apply(step, wav, sample_rate)[:, settled]) - level_db(wav[:, settled])


def apply(step: Step, wav: FloatArray, sample_rate: int = 16_000, *, block_frames: int = 4_096) -> FloatArray:
    """Return `wav` after one step, analysed and processed in blocks."""
    blocks = [wav[:, start : start + block_frames] for start in range(0, wav.shape[-1], block_frames)]
    analyser = step.analyser(sample_rate, wav.shape[0])
    analysis = None
    if analyser is not None:
        for block in blocks:
            analyser.update(block)
        analysis = analyser.result()
    processor = step.start(sample_rate, wav.shape[0], analysis=analysis)
    return np.concatenate([*(processor.process(block) for block in blocks), processor.flush()], axis=-1)


def run(
    steps: Sequence[Step], wav: FloatArray, scratch: Path, *, sample_rate: int = 16_000, block_frames: int = 4_096
) -> FloatArray:
    """Return `wav` after a chain."""

    def source() -> Iterator[FloatArray]:
        for start in range(0, wav.shape[-1], block_frames):
            yield wav[:, start : start + block_frames]

    stream = run_chain(
        steps, source, sample_rate=sample_rate, channels=wav.shape[0], scratch=lambda name: scratch / name
    )
    return np.concatenate(list(stream()), axis=-1)

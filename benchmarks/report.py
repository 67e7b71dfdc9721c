"""Cost of a report's figures and pictures: `python -m benchmarks.report [--minutes 1,10,60] [--rate 48000]`.

Feeds each meter with a generated recording (bursts of coloured noise over a quiet floor, like speech with pauses) in
blocks of the pipeline's size and prints a JSON line with process CPU seconds per audio second, one thread. `drawing_s`
is what the pictures of one signal cost once, whatever its length.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from core.audio.envelope import EnvelopeMeter
from core.audio.loudness import LoudnessMeter
from core.audio.pictures import draw_spectrogram, draw_waveform
from core.audio.quality import QualityMeter
from core.audio.spectrogram import SpectrogramMeter
from core.audio.types import FloatArray
from core.enhancement.scratch import BLOCK_FRAMES

CHANNELS = 2


def generate_block(sample_rate: int) -> FloatArray:
    """A block (C, T) that is fed again and again: half a second of noise that sounds like a voice, then a pause."""
    generator = np.random.default_rng(0)
    white = generator.standard_normal((CHANNELS, BLOCK_FRAMES))
    coloured = np.cumsum(white, axis=1) - np.cumsum(white, axis=1).mean(axis=1, keepdims=True)
    is_on = np.arange(BLOCK_FRAMES) % sample_rate < sample_rate // 2
    return np.asarray(0.1 * coloured / coloured.std() * is_on + 0.001 * white, dtype=np.float32)


class Meter(Protocol):
    """Anything that looks at a stream."""

    def update(self, wav: FloatArray) -> None: ...


def feed(meter: Meter, block: FloatArray, times: int) -> None:
    """Give `meter` the same block so many times."""
    for _ in range(times):
        meter.update(block)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Process CPU time of one call, in seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(sample_rate: int, minutes: float) -> dict[str, float]:
    """CPU seconds per audio second of each meter over `minutes`, and what drawing costs."""
    block = generate_block(sample_rate)
    blocks = max(round(minutes * 60 * sample_rate / BLOCK_FRAMES), 1)
    duration_s = blocks * BLOCK_FRAMES / sample_rate
    spectrograms = SpectrogramMeter(sample_rate, CHANNELS, frames=blocks * BLOCK_FRAMES)
    envelopes = EnvelopeMeter(sample_rate, frames=blocks * BLOCK_FRAMES)
    meters: dict[str, Meter] = {
        "loudness_rtf": LoudnessMeter(sample_rate, CHANNELS),
        "quality_rtf": QualityMeter(sample_rate, CHANNELS),
        "spectrogram_rtf": spectrograms,
        "envelope_rtf": envelopes,
    }
    figures = {"minutes": minutes, "sample_rate": float(sample_rate)}
    for name, meter in meters.items():
        figures[name] = round(cpu_seconds(partial(feed, meter, block, blocks)) / duration_s, 6)
    envelope, spectrogram = envelopes.result(), spectrograms.result()
    figures["drawing_s"] = round(
        cpu_seconds(
            lambda: (draw_waveform(envelope, "", full_scale=1.0), draw_spectrogram(spectrogram, "", top_db=0.0))
        ),
        4,
    )
    return figures


def main() -> None:
    """Measure each length in turn and print a JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", default="1,10,60", help="comma-separated lengths in minutes")
    parser.add_argument("--rate", type=int, default=48_000, help="sample rate in Hz")
    arguments = parser.parse_args()
    for minutes in arguments.minutes.split(","):
        sys.stdout.write(json.dumps(measure(arguments.rate, float(minutes))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

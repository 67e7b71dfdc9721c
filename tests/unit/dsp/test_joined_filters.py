"""Filters that follow each other run as one, with the same result."""

from __future__ import annotations

import numpy as np

from core.dsp.equalizer import CLARITY_BOOST, MUD_CUT
from core.dsp.filters import HighPass, LowPass, SosProcessor, join_filters
from core.dsp.levels import SoftClip
from core.dsp.step import FloatArray, Processor

SAMPLE_RATE = 16_000
CHANNELS = 2


def run(processors: list[Processor], wav: FloatArray) -> FloatArray:
    for processor in processors:
        wav = processor.process(wav)
    return wav


def test_neighbours_become_one_filter_with_the_same_result() -> None:
    def start() -> list[Processor]:
        return [step.start(SAMPLE_RATE, CHANNELS) for step in (HighPass(), LowPass(), MUD_CUT, CLARITY_BOOST)]

    wav = np.random.default_rng(0).standard_normal((CHANNELS, 5_000)).astype(np.float32)

    joined = join_filters(start())

    assert len(joined) == 1
    np.testing.assert_allclose(run(joined, wav), run(start(), wav), atol=2e-6)


def test_what_stands_between_two_filters_keeps_its_place() -> None:
    steps = (HighPass(), SoftClip(), LowPass())

    joined = join_filters(step.start(SAMPLE_RATE, CHANNELS) for step in steps)

    assert [isinstance(processor, SosProcessor) for processor in joined] == [True, False, True]


def test_steps_with_nothing_to_do_are_left_out() -> None:
    above_the_band = LowPass(cutoff_hz=SAMPLE_RATE)

    joined = join_filters(step.start(SAMPLE_RATE, CHANNELS) for step in (above_the_band, HighPass()))

    assert [type(processor) for processor in joined] == [SosProcessor]

"""STOI and PESQ in a stream: piece by piece, bounded, on the packages themselves where they are installed."""

from __future__ import annotations

import numpy as np
import pytest

from core.audio.intelligibility import (
    MAX_PIECES,
    PIECE_S,
    SAMPLE_RATE,
    IntelligibilityMeter,
    Measure,
    installed_measures,
)
from core.audio.types import FloatArray


def error_power(estimate: FloatArray, reference: FloatArray) -> float:
    return float(np.mean(np.square(estimate - reference)))


def noise(seconds: float, *, channels: int = 1, sample_rate: int = SAMPLE_RATE) -> FloatArray:
    samples = np.random.default_rng(0).standard_normal((channels, round(seconds * sample_rate)))
    return (0.1 * samples).astype(np.float32)


def speech_like(seconds: float) -> FloatArray:
    """Noise in syllables, four each second."""
    wav = noise(seconds)
    envelope = np.square(np.sin(np.pi * 4 * np.arange(wav.shape[1]) / SAMPLE_RATE))
    return (wav * envelope).astype(np.float32)


def feed(meter: IntelligibilityMeter, reference: FloatArray, *estimates: FloatArray, block_frames: int = 7_001) -> None:
    for start in range(0, reference.shape[1], block_frames):
        part = slice(start, start + block_frames)
        meter.update(reference[:, part], [estimate[:, part] for estimate in estimates])


def test_each_estimate_has_the_mean_over_its_pieces() -> None:
    reference = noise(2 * PIECE_S)
    half = reference.copy()
    half[:, round(PIECE_S * SAMPLE_RATE) :] += 1.0
    meter = IntelligibilityMeter(SAMPLE_RATE, 2, measures={"error": error_power})

    feed(meter, reference, reference, half)

    assert meter.result() == [{"error": 0.0}, {"error": pytest.approx(0.5, rel=1e-3)}]
    assert meter.compared_s == 2 * PIECE_S


@pytest.mark.parametrize(("seconds", "compared_s"), [(PIECE_S + 1, PIECE_S), (PIECE_S + 5, PIECE_S + 5), (1.0, 1.0)])
def test_short_rest_is_left_out_unless_it_is_all_that_there_is(seconds: float, compared_s: float) -> None:
    meter = IntelligibilityMeter(SAMPLE_RATE, 1, measures={"error": error_power})

    feed(meter, noise(seconds), noise(seconds))
    meter.result()

    assert meter.compared_s == compared_s


def test_what_comes_after_ten_minutes_is_not_compared_nor_held() -> None:
    meter = IntelligibilityMeter(SAMPLE_RATE, 1, measures={"error": error_power})
    minute = noise(60)

    for _ in range(12):
        meter.update(minute, [minute])
    meter.result()

    assert meter.compared_s == MAX_PIECES * PIECE_S == 600


def test_channels_and_rate_are_brought_to_what_the_measures_take() -> None:
    lengths: list[int] = []

    def length(estimate: FloatArray, reference: FloatArray) -> float:
        assert estimate.shape == reference.shape
        lengths.append(len(reference))
        return 0.0

    meter = IntelligibilityMeter(48_000, 1, measures={"length": length})
    wav = noise(5, channels=2, sample_rate=48_000)
    feed(meter, wav, wav)
    meter.result()

    assert lengths == [pytest.approx(5 * SAMPLE_RATE, abs=1)]


def test_silence_and_missing_packages_have_no_value() -> None:
    measures: dict[str, Measure | None] = {"error": error_power, "missing": None}
    meter = IntelligibilityMeter(SAMPLE_RATE, 2, measures=measures)

    feed(meter, noise(5), noise(5), np.zeros((1, 5 * SAMPLE_RATE), np.float32))

    assert meter.result() == [{"error": 0.0, "missing": None}, {"error": None, "missing": None}]


def test_nothing_is_done_where_no_package_is_installed() -> None:
    meter = IntelligibilityMeter(SAMPLE_RATE, 1, measures={"stoi": None, "pesq_wb": None})

    feed(meter, noise(5), noise(5))

    assert meter.result() == [{"stoi": None, "pesq_wb": None}]
    assert meter.compared_s == 0


@pytest.mark.parametrize(("name", "best"), [("stoi", 1.0), ("pesq_wb", 4.64)])
def test_installed_measure_is_best_for_the_reference_itself_and_falls_with_noise(name: str, best: float) -> None:
    measure = installed_measures()[name]
    if measure is None:
        pytest.skip(f"the package of {name} is not installed")
    reference = speech_like(5)[0]

    same, noisy = measure(reference, reference), measure(reference + noise(5)[0][::-1], reference)

    assert same == pytest.approx(best, abs=0.01)
    assert noisy is not None
    assert noisy < 0.9 * best


@pytest.mark.parametrize("name", ["stoi", "pesq_wb"])
def test_installed_measure_has_no_value_for_a_moment(name: str) -> None:
    measure = installed_measures()[name]
    if measure is None:
        pytest.skip(f"the package of {name} is not installed")
    moment = speech_like(0.1)[0]

    assert measure(moment, moment) is None

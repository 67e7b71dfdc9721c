"""Filters and equalizer bands against their analytic responses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import butter, sosfilt, sosfreqz

from core.dsp.equalizer import CLARITY_BOOST, MUD_CUT, PRESENCE_BOOST, EqualizerBand, peaking_sections
from core.dsp.filters import HighPass, LowPass
from core.dsp.step import Step
from core.errors import InvalidOptions
from tests.unit.dsp.signals import apply, gain_at, hiss, sine

RATES = [8_000, 16_000, 44_100, 48_000]
BANDS = [MUD_CUT, PRESENCE_BOOST, CLARITY_BOOST]


def warped(frequency_hz: float, sample_rate: int) -> float:
    """Return the analogue frequency that the bilinear transform puts at `frequency_hz`."""
    return math.tan(math.pi * frequency_hz / sample_rate)


def butterworth_db(ratio: float, order: int) -> float:
    """Return the analytic gain of a Butterworth low-pass at `ratio` times its cutoff."""
    return -10 * math.log10(1 + ratio ** (2 * order))


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("frequency_hz", [40.0, 80.0, 160.0, 1_000.0])
def test_high_pass_follows_the_butterworth_formula(frequency_hz: float, sample_rate: int) -> None:
    ratio = warped(80.0, sample_rate) / warped(frequency_hz, sample_rate)

    assert gain_at(HighPass(), frequency_hz, sample_rate) == pytest.approx(butterworth_db(ratio, 4), abs=0.1)


def test_rumble_at_half_the_cutoff_falls_by_24_db() -> None:
    assert gain_at(HighPass(), 40.0, 16_000) == pytest.approx(-24.1, abs=0.1)


@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("frequency_hz", [1_000.0, 6_200.0, 7_500.0])
def test_low_pass_follows_the_butterworth_formula_at_16_khz_too(frequency_hz: float, sample_rate: int) -> None:
    ratio = warped(frequency_hz, sample_rate) / warped(6_200.0, sample_rate)

    assert gain_at(LowPass(), frequency_hz, sample_rate) == pytest.approx(butterworth_db(ratio, 6), abs=0.1)


def test_low_pass_above_half_the_sample_rate_changes_nothing() -> None:
    wav = hiss(5_000, rms=0.1)

    assert np.array_equal(apply(LowPass(cutoff_hz=4_000), wav, 8_000), wav)


def test_high_pass_above_half_the_sample_rate_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="cutoff_hz is 4000; at 8000 Hz it must be below 4000 Hz"):
        HighPass(cutoff_hz=4_000).start(8_000, 1)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("band", BANDS, ids=lambda band: band.name)
def test_band_has_its_gain_at_the_centre_and_half_of_it_at_the_edges(band: EqualizerBand, sample_rate: int) -> None:
    centre_hz = math.sqrt(band.low_hz * band.high_hz)

    assert gain_at(band, centre_hz, sample_rate) == pytest.approx(band.gain_db, abs=0.1)
    if band.high_hz < sample_rate / 8:
        assert gain_at(band, band.low_hz, sample_rate) == pytest.approx(band.gain_db / 2, abs=0.2)
        assert gain_at(band, band.high_hz, sample_rate) == pytest.approx(band.gain_db / 2, abs=0.2)


@pytest.mark.parametrize("band", BANDS, ids=lambda band: band.name)
def test_band_leaves_what_is_far_from_it_alone(band: EqualizerBand) -> None:
    assert gain_at(band, band.low_hz / 20, 48_000) == pytest.approx(0, abs=0.1)
    assert gain_at(band, 20_000.0, 48_000) == pytest.approx(0, abs=0.2)


def test_boost_and_cut_of_the_same_band_cancel() -> None:
    wav = hiss(16_000, rms=0.1)
    boost = EqualizerBand(low_hz=1_000, high_hz=2_000, gain_db=9)
    cut = EqualizerBand(low_hz=1_000, high_hz=2_000, gain_db=-9)

    assert np.abs(apply(cut, apply(boost, wav)) - wav).max() < 1e-6


def test_band_beyond_half_the_sample_rate_changes_nothing() -> None:
    wav = hiss(5_000, rms=0.1)

    assert np.array_equal(apply(EqualizerBand(low_hz=5_000, high_hz=7_000, gain_db=6), wav, 8_000), wav)


def test_peaking_sections_are_stable_and_unity_at_both_ends_of_the_band() -> None:
    for gain_db in (-24.0, 24.0):
        sections = peaking_sections(100.0, 7_900.0, gain_db=gain_db, sample_rate=16_000)

        _, response = sosfreqz(sections, [0.0, math.pi])

        assert np.abs(np.roots(sections[0, 3:])).max() < 1
        assert np.allclose(np.abs(response), 1)


@pytest.mark.parametrize("step", [HighPass(), LowPass(), *BANDS], ids=lambda step: step.name)
@pytest.mark.parametrize("block_frames", [1, 333, 100_000])
def test_carried_state_makes_blocks_equal_the_whole(step: Step, block_frames: int) -> None:
    wav = hiss(2_000, rms=0.2, channels=2)

    whole = apply(step, wav, block_frames=wav.shape[-1])

    assert np.array_equal(apply(step, wav, block_frames=block_frames), whole)
    assert whole.dtype == np.float32
    assert not np.allclose(whole, wav, atol=1e-3)


def test_channels_do_not_leak_into_each_other() -> None:
    wav = np.concatenate([sine(500.0, 16_000), np.zeros((1, 16_000), np.float32)])

    filtered = apply(HighPass(), wav)

    assert not filtered[1].any()
    assert np.array_equal(filtered[:1], apply(HighPass(), wav[:1]))


def test_filter_computes_in_double_precision() -> None:
    # A 4th-order section at 80 Hz and 96 kHz loses 20 dB of accuracy in float32.
    wav = hiss(96_000, rms=0.1)
    processor = HighPass().start(96_000, 1)

    expected = sosfilt(butter(4, 80.0, "highpass", fs=96_000, output="sos"), wav.astype(np.float64))

    assert np.abs(processor.process(wav) - expected).max() < 1e-7


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HighPass(cutoff_hz=0), "high_pass: cutoff_hz is 0; it must be 1 to 384000 Hz"),
        (lambda: HighPass(cutoff_hz=float("nan")), "cutoff_hz is nan"),
        (lambda: LowPass(order=0), "low_pass: order is 0; it must be 1 to 12"),
        (lambda: LowPass(order=2.5), "order is 2.5; it must be a whole number"),  # type: ignore[arg-type]
        (lambda: LowPass(cutoff_hz="6k"), "cutoff_hz is '6k'"),  # type: ignore[arg-type]
        (lambda: LowPass(cutoff_hz=True), "cutoff_hz is True"),
        (lambda: EqualizerBand(low_hz=500, high_hz=400, gain_db=1), r"low_hz \(500 Hz\) must be below high_hz"),
        (lambda: EqualizerBand(low_hz=100, high_hz=400, gain_db=30), "gain_db is 30; it must be -24 to 24 dB"),
    ],
)
def test_parameters_out_of_range_are_named_with_their_limits(make: type, words: str) -> None:
    with pytest.raises(InvalidOptions, match=words):
        make()

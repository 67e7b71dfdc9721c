"""Level steps: exact peaks and RMS, one gain for all channels, a soft clipper with no corner."""

from __future__ import annotations

import numpy as np
import pytest

from core.dsp.levels import PeakNormalize, RmsMatch, RmsNormalize, SoftClip
from core.errors import InvalidOptions
from tests.unit.dsp.signals import apply, hiss, level_db


@pytest.mark.parametrize("rms", [0.02, 0.3, 3.0])
def test_peak_over_all_channels_becomes_the_target(rms: float) -> None:
    wav = hiss(10_000, rms=rms, channels=2)
    wav[1] *= 0.5

    normalized = apply(PeakNormalize(), wav)

    assert np.abs(normalized).max() == pytest.approx(0.99, abs=1e-6)
    assert np.allclose(normalized, wav * (0.99 / np.abs(wav).max()), rtol=1e-6)


def test_gain_stops_at_its_limit_for_what_is_nearly_silent() -> None:
    wav = hiss(10_000, rms=1e-5)

    assert level_db(apply(PeakNormalize(), wav)) - level_db(wav) == pytest.approx(40, abs=0.01)
    assert level_db(apply(RmsNormalize(), wav)) - level_db(wav) == pytest.approx(40, abs=0.01)


def test_rms_over_all_channels_becomes_the_target() -> None:
    wav = hiss(10_000, rms=0.02, channels=2)
    wav[1] *= 0.5

    assert level_db(apply(RmsNormalize(rms_db=-18), wav)) == pytest.approx(-18, abs=0.01)


def test_rms_of_the_recording_is_given_back_by_one_gain() -> None:
    wav = hiss(10_000, rms=0.02, channels=2)

    matched = apply(RmsMatch().against(0.1), wav)

    assert level_db(matched) == pytest.approx(-20, abs=0.001)
    assert np.allclose(matched / wav, matched[0, 0] / wav[0, 0], rtol=1e-5)


def test_rms_match_stops_at_its_limit_and_leaves_silence_alone() -> None:
    wav = hiss(10_000, rms=1e-5)

    assert level_db(apply(RmsMatch(max_gain_db=20).against(0.1), wav)) - level_db(wav) == pytest.approx(20, abs=0.01)
    assert np.array_equal(apply(RmsMatch().against(0.0), wav), wav)
    assert not apply(RmsMatch().against(0.1), np.zeros((1, 100), np.float32)).any()


def test_rms_match_cannot_run_without_a_recording() -> None:
    with pytest.raises(ValueError, match="recording's RMS"):
        RmsMatch().start(16_000, 1)


def test_soft_clip_keeps_quiet_samples_bit_exact_and_never_passes_full_scale() -> None:
    wav = np.linspace(-20, 20, 100_001, dtype=np.float32)[None]

    clipped = apply(SoftClip(threshold=0.9), wav)

    quiet = np.abs(wav) <= 0.9
    assert np.array_equal(clipped[quiet], wav[quiet])
    assert np.abs(clipped).max() <= 1.0
    assert (np.diff(clipped[0]) >= 0).all()


def test_soft_clip_has_no_corner_at_its_threshold() -> None:
    around = np.array([[0.899, 0.9, 0.901]], np.float32)

    slopes = np.diff(apply(SoftClip(threshold=0.9), around)[0]) / np.diff(around[0])

    assert np.allclose(slopes, 1, atol=1e-3)


@pytest.mark.parametrize("step", [PeakNormalize(), RmsNormalize(), SoftClip()], ids=lambda step: step.name)
def test_silence_stays_exact_silence(step: PeakNormalize | RmsNormalize | SoftClip) -> None:
    assert not apply(step, np.zeros((2, 1_000), np.float32)).any()


def test_parameters_out_of_range_are_named_with_their_limits() -> None:
    with pytest.raises(InvalidOptions, match=r"peak_normalize: peak is 1\.1; it must be 0\.01 to 1"):
        PeakNormalize(peak=1.1)
    with pytest.raises(InvalidOptions, match="soft_clip: threshold is 1"):
        SoftClip(threshold=1.0)
    with pytest.raises(InvalidOptions, match="rms_normalize: rms_db is 6; it must be -60 to 0 dB"):
        RmsNormalize(rms_db=6)

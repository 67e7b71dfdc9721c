"""Changes to speech, measured with tones and impulses."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.signal import sosfreqz

from training.augment import (
    FloatArray,
    band_limit,
    change_speed,
    draw_equaliser,
    equalise,
    hard_clip,
    high_shelf,
    reverberate,
)
from training.batch_augment import draw_masked_band, mask_band

SAMPLE_RATE = 16000


def tone(frequency_hz: float, samples: int = 16000) -> FloatArray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(samples) / SAMPLE_RATE).astype(np.float32)


def gain_db(output: FloatArray, source: FloatArray) -> float:
    inner = slice(4000, 12000)  # away from the filters' onset
    return float(20 * np.log10(np.std(output[inner]) / np.std(source[inner])))


@pytest.mark.parametrize("shelf_db", [-6.0, 6.0])
def test_high_shelf_moves_the_treble_and_leaves_the_bass(shelf_db: float) -> None:
    assert gain_db(high_shelf(tone(100), gain_db=shelf_db, sample_rate=SAMPLE_RATE), tone(100)) == pytest.approx(
        0, abs=0.1
    )
    assert gain_db(high_shelf(tone(7500), gain_db=shelf_db, sample_rate=SAMPLE_RATE), tone(7500)) == pytest.approx(
        shelf_db, abs=0.2
    )


def test_band_limit_passes_the_middle_and_halves_power_at_the_edges() -> None:
    telephone = partial(band_limit, low_hz=300.0, high_hz=3400.0, sample_rate=SAMPLE_RATE)

    assert gain_db(telephone(tone(1000)), tone(1000)) == pytest.approx(0, abs=0.1)
    assert gain_db(telephone(tone(300)), tone(300)) == pytest.approx(-3.01, abs=0.1)
    assert gain_db(telephone(tone(60)), tone(60)) < -25


def test_speed_change_moves_pitch_and_length_alike() -> None:
    faster = change_speed(tone(1000), 1.25)

    assert len(faster) == pytest.approx(16000 / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(faster * np.hanning(len(faster))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(faster) == pytest.approx(1250, abs=2)


def test_reverberation_keeps_the_direct_sound_in_place_and_splits_early_from_late() -> None:
    impulse = np.zeros(4000, np.float32)
    impulse[100] = 1
    room = np.zeros(3000, np.float32)
    room[[40, 440, 2040]] = [0.5, 0.25, 0.1]  # direct, 25 ms later, 125 ms later

    wet, target = reverberate(impulse, room, sample_rate=SAMPLE_RATE, early_ms=50)

    expected_target = np.zeros(4000)
    expected_target[[100, 500]] = [1, 0.5]
    expected_wet = expected_target.copy()
    expected_wet[2100] = 0.2
    np.testing.assert_allclose(wet, expected_wet, atol=1e-6)
    np.testing.assert_allclose(target, expected_target, atol=1e-6)


@pytest.mark.parametrize("taps", [1, 10, 810])
def test_short_impulse_responses_are_early_as_a_whole(taps: int) -> None:
    rng = np.random.default_rng(0)
    room = np.concatenate([[2.0], rng.uniform(-1, 1, taps - 1)]).astype(np.float32)

    wet, target = reverberate(tone(300), room[:800], sample_rate=SAMPLE_RATE, early_ms=50)

    np.testing.assert_allclose(wet, target, atol=1e-5)


def test_hard_clipping_flattens_the_given_share() -> None:
    noise = np.random.default_rng(0).standard_normal(20000).astype(np.float32)

    clipped = hard_clip(noise, share=0.05)

    assert np.mean(np.abs(clipped) == np.abs(clipped).max()) == pytest.approx(0.05, abs=0.001)
    untouched = np.abs(noise) < np.abs(clipped).max()
    np.testing.assert_array_equal(clipped[untouched], noise[untouched])


def test_equaliser_changes_the_gain_as_its_sections_say_and_within_the_limit() -> None:
    sections = draw_equaliser(np.random.default_rng(0), limit_db=6.0, sample_rate=SAMPLE_RATE)
    frequencies_hz, response = sosfreqz(sections, worN=512, fs=SAMPLE_RATE)
    gains_db = 20 * np.log10(np.abs(response))

    for frequency_hz in (200.0, 1000.0, 4000.0):
        assert gain_db(equalise(tone(frequency_hz), sections), tone(frequency_hz)) == pytest.approx(
            np.interp(frequency_hz, frequencies_hz, gains_db), abs=0.1
        )
    assert 1 < np.abs(gains_db).max() <= 4 * 6.0


def test_masked_band_is_empty_and_the_rest_is_untouched() -> None:
    mask = partial(mask_band, low_hz=800.0, high_hz=1600.0, sample_rate=SAMPLE_RATE)

    assert gain_db(mask(tone(1150)), tone(1150)) < -40
    np.testing.assert_allclose(mask(tone(300))[4000:12000], tone(300)[4000:12000], atol=0.01)
    np.testing.assert_allclose(mask(tone(3000))[4000:12000], tone(3000)[4000:12000], atol=0.01)


def test_empty_band_masks_nothing() -> None:
    np.testing.assert_array_equal(mask_band(tone(500), low_hz=500.0, high_hz=500.0, sample_rate=SAMPLE_RATE), tone(500))


def test_masked_bands_are_as_wide_as_asked_on_the_mel_scale() -> None:
    rng = np.random.default_rng(0)
    bands = [draw_masked_band(rng, width=0.2, sample_rate=SAMPLE_RATE) for _ in range(200)]

    mels = 2595 * np.log10(1 + np.array(bands) / 700)
    full = 2595 * np.log10(1 + np.array([40.0, 8000.0]) / 700)
    widths = (mels[:, 1] - mels[:, 0]) / (full[1] - full[0])
    assert widths.min() >= 0
    assert 0.15 < widths.max() <= 0.2

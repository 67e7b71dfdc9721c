"""Wow, flutter and the Academy curve, by physics."""

from __future__ import annotations

import numpy as np
import pytest

from training.film_carrier import MAX_FLUTTER, MAX_WOW, academy_filter, wow_and_flutter

SAMPLE_RATE = 44_100


def sine(frequency_hz: float, samples: int = SAMPLE_RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(samples) / SAMPLE_RATE).astype(np.float32)


@pytest.mark.parametrize(
    ("frequency_hz", "gain_db"), [(40, -7), (100, 0), (400, 0), (1600, 0), (5000, -10), (8000, -18)]
)
def test_academy_curve_has_its_published_gains(frequency_hz: float, gain_db: float) -> None:
    wav = sine(frequency_hz)

    filtered = academy_filter(wav, sample_rate=SAMPLE_RATE)

    assert 20 * np.log10(filtered.std() / wav.std()) == pytest.approx(gain_db, abs=0.1)


def test_half_of_the_academy_curve_is_half_its_decibels_and_has_no_delay() -> None:
    wav = sine(5000)

    filtered = academy_filter(wav, sample_rate=SAMPLE_RATE, amount=0.5)

    np.testing.assert_allclose(filtered, wav * 10 ** (-5 / 20), atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_speed_wanders_within_its_limits_and_the_length_is_kept(seed: int) -> None:
    samples = 4 * SAMPLE_RATE
    wav = sine(3150, samples)  # the frequency at which wow and flutter are measured

    played = wow_and_flutter(wav, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)

    assert played.shape == wav.shape
    spectrum = np.fft.fft(played)
    spectrum[samples // 2 :] = 0
    phase = np.unwrap(np.angle(np.fft.ifft(spectrum)))
    speed = np.convolve(np.diff(phase), np.full(64, 1 / 64), "same") * SAMPLE_RATE / (2 * np.pi * 3150)
    deviation = np.abs(speed[SAMPLE_RATE // 2 : -SAMPLE_RATE // 2] - 1).max()
    assert 1e-4 < deviation < MAX_WOW + MAX_FLUTTER + 1e-4


def test_silence_stays_silent() -> None:
    silence = np.zeros(1000, np.float32)

    assert not wow_and_flutter(silence, np.random.default_rng(0), sample_rate=SAMPLE_RATE).any()
    assert not academy_filter(silence, sample_rate=SAMPLE_RATE).any()


def test_clip_of_three_samples_is_left_as_it_is() -> None:
    wav = np.array([0.1, -0.2, 0.3], np.float32)

    assert wow_and_flutter(wav, np.random.default_rng(0), sample_rate=SAMPLE_RATE) is wav

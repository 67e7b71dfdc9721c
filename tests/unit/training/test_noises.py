"""Synthetic noises: seeded, finite, and of the spectrum or texture they stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from training.noises import crackle, hum, record_noise, shaped_noise

SAMPLE_RATE = 16000
Generate = Callable[..., np.ndarray]


@pytest.mark.parametrize("generate", [shaped_noise, hum, crackle, record_noise])
def test_noise_is_a_function_of_its_seed(generate: Generate) -> None:
    first, again, other = (generate(8000, np.random.default_rng(seed), sample_rate=SAMPLE_RATE) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert first.shape == (8000,)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert not np.array_equal(first, other)


def test_hum_consists_of_harmonics_of_the_mains() -> None:
    wav = hum(4 * SAMPLE_RATE, np.random.default_rng(3), sample_rate=SAMPLE_RATE)

    power = np.square(np.abs(np.fft.rfft(wav * np.hanning(len(wav)))))
    frequencies = np.fft.rfftfreq(len(wav), 1 / SAMPLE_RATE)
    mains_hz = frequencies[np.argmax(np.where(frequencies < 65, power, 0))]
    assert min(abs(mains_hz - 50), abs(mains_hz - 60)) < 1
    distance_hz = np.abs(frequencies - mains_hz * np.round(frequencies / mains_hz))
    assert power[distance_hz < 4].sum() / power.sum() > 0.999


def test_crackle_is_sparse() -> None:
    wav = np.abs(crackle(2 * SAMPLE_RATE, np.random.default_rng(0), sample_rate=SAMPLE_RATE))

    assert np.median(wav) < 1e-3 * wav.max()


def test_shaped_noise_has_no_content_below_hearing() -> None:
    wav = shaped_noise(SAMPLE_RATE, np.random.default_rng(0), sample_rate=SAMPLE_RATE)

    assert abs(wav.mean()) < 0.01 * wav.std()

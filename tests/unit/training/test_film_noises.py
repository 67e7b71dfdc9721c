"""Generated film noise: seeded, and with the spectrum, texture and rates of what it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from training.film_noises import (
    FRAME_RATES_HZ,
    GENERATORS,
    Generator,
    clicks,
    crackle,
    film_noise,
    hiss,
    hum,
    magnetic_track,
    optical_track,
)

SAMPLE_RATE = 44_100
SEEDS = range(6)


def power_spectrum(wav: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.fft.rfftfreq(len(wav), 1 / SAMPLE_RATE), np.square(np.abs(np.fft.rfft(wav * np.hanning(len(wav)))))


def band_power_db(wav: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Mean power per bin of a band."""
    frequencies, power = power_spectrum(wav)
    return float(10 * np.log10(power[(frequencies >= low_hz) & (frequencies < high_hz)].mean()))


@pytest.mark.parametrize("generate", [*GENERATORS.values(), film_noise], ids=[*GENERATORS, "film"])
def test_noise_is_a_function_of_its_seed(generate: Generator) -> None:
    first, again, other = (generate(22_050, np.random.default_rng(seed), sample_rate=SAMPLE_RATE) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert first.shape == (22_050,)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("sample_rate", [16_000, 48_000])
def test_noise_can_be_had_at_other_rates(sample_rate: int) -> None:
    wav = film_noise(8_000, np.random.default_rng(0), sample_rate=sample_rate)

    assert np.isfinite(wav).all()
    assert wav.std() > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_hiss_of_worn_prints_falls_towards_the_top(seed: int) -> None:
    wav = hiss(SAMPLE_RATE, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)

    assert band_power_db(wav, 18_000, 22_000) < band_power_db(wav, 500, 2_000)
    assert band_power_db(wav, 0, 15) < band_power_db(wav, 500, 2_000) - 20


@pytest.mark.parametrize("seed", SEEDS)
def test_grain_of_an_optical_track_is_cut_off_by_the_slit(seed: int) -> None:
    wav = optical_track(SAMPLE_RATE, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)

    assert band_power_db(wav, 18_000, 22_000) < band_power_db(wav, 500, 2_500) - 10


@pytest.mark.parametrize("seed", SEEDS)
def test_tape_hiss_rises_with_frequency(seed: int) -> None:
    wav = magnetic_track(SAMPLE_RATE, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)

    assert band_power_db(wav, 3_000, 5_000) > band_power_db(wav, 500, 1_000)


@pytest.mark.parametrize("seed", SEEDS)
def test_hum_consists_of_harmonics_of_the_mains(seed: int) -> None:
    wav = hum(4 * SAMPLE_RATE, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)

    frequencies, power = power_spectrum(wav)
    mains_hz = frequencies[np.argmax(np.where(frequencies < 65, power, 0))]
    assert min(abs(mains_hz - 50), abs(mains_hz - 60)) < 1
    # The drift of 0.1 % widens the higher harmonics, and the estimate of the mains errs by up to an eighth of a hertz.
    order = np.maximum(np.round(frequencies / mains_hz), 1)
    distance_hz = np.abs(frequencies - mains_hz * order)
    assert power[distance_hz < 2 + 0.25 * order].sum() / power.sum() > 0.999


@pytest.mark.parametrize("seed", SEEDS)
def test_clicks_are_sparser_than_crackle(seed: int) -> None:
    def share_of_loud_samples(wav: np.ndarray) -> float:
        return float((np.abs(wav) > 0.02 * np.abs(wav).max()).mean())

    sparse = clicks(SAMPLE_RATE, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)
    dense = crackle(SAMPLE_RATE, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)

    assert share_of_loud_samples(sparse) < 0.1
    assert share_of_loud_samples(dense) > share_of_loud_samples(sparse)


def test_scratch_comes_again_with_each_frame_or_turn() -> None:
    found = []
    for seed in range(40):
        wav = np.abs(clicks(4 * SAMPLE_RATE, np.random.default_rng(seed), sample_rate=SAMPLE_RATE))
        envelope = wav.reshape(-1, 49).max(axis=1)  # 900 Hz
        spectrum = np.abs(np.fft.rfft(envelope - envelope.mean(), 8 * len(envelope)))
        rates = np.fft.rfftfreq(8 * len(envelope), 49 / SAMPLE_RATE)
        comb = [spectrum[np.argmin(np.abs(rates - rate))] / np.median(spectrum) for rate in FRAME_RATES_HZ]
        found.append(max(comb) > 10)

    assert 3 < sum(found) < 30  # a quarter of the draws have a scratch at a frame rate


def test_a_film_is_noisy_all_the_time() -> None:
    for seed in SEEDS:
        wav = film_noise(2 * SAMPLE_RATE, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)
        levels = np.sqrt(np.square(wav.reshape(40, -1)).mean(axis=1))

        assert levels.min() > 0.02 * levels.max()

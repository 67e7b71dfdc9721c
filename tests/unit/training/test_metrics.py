"""Measures at values that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from training import metrics
from training.datasets import FloatArray


def speech_like(seconds: float = 3.0, *, seed: int = 0) -> FloatArray:
    """Noise in syllables of 4 a second over a decaying spectrum: enough for PESQ and STOI to take it for speech."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * 16000)
    envelope = np.maximum(0, np.sin(2 * np.pi * 2 * np.arange(samples) / 16000)) ** 2
    spectrum = np.fft.rfft(rng.standard_normal(samples)) / (1 + np.arange(samples // 2 + 1) / (400 * seconds))
    wav = np.fft.irfft(spectrum, samples) * envelope
    return np.asarray(0.3 * wav / np.abs(wav).max(), dtype=np.float32)


def test_perfect_estimate_has_the_best_scores() -> None:
    clean = speech_like()

    assert metrics.pesq_wideband(clean, clean) == pytest.approx(4.644, abs=0.001)
    assert metrics.stoi(clean, clean) == pytest.approx(1.0, abs=1e-4)
    assert metrics.stoi(clean, clean, extended=True) == pytest.approx(1.0, abs=1e-4)
    assert metrics.log_spectral_distance_db(clean, clean) == 0
    assert metrics.residual_ratio_db(clean, clean) < -150


def test_noise_lowers_every_score() -> None:
    clean = speech_like()
    noise = np.random.default_rng(1).standard_normal(len(clean)).astype(np.float32)
    mild, strong = clean + 0.003 * noise, clean + 0.03 * noise

    assert metrics.pesq_wideband(mild, clean) > metrics.pesq_wideband(strong, clean)
    assert metrics.stoi(mild, clean, extended=True) > metrics.stoi(strong, clean, extended=True)
    assert metrics.si_sdr_db(mild, clean) == pytest.approx(metrics.si_sdr_db(strong, clean) + 20, abs=0.5)
    assert metrics.log_spectral_distance_db(mild, clean) < metrics.log_spectral_distance_db(strong, clean)


def test_log_spectral_distance_of_a_gain_is_the_gain() -> None:
    clean = np.random.default_rng(0).standard_normal(16000).astype(np.float32)

    assert metrics.log_spectral_distance_db(clean * np.float32(0.5), clean) == pytest.approx(6.02, abs=0.01)


def test_level_change_is_the_gain_of_the_speech_despite_noise() -> None:
    clean = speech_like()
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(clean)).astype(np.float32)

    assert metrics.level_change_db(clean * np.float32(0.5) + noise, clean) == pytest.approx(-6.02, abs=0.1)


def test_silence_gives_nan_instead_of_an_error() -> None:
    silence = np.zeros(16000, np.float32)

    assert np.isnan(metrics.si_sdr_db(silence, speech_like(1.0)))
    assert np.isnan(metrics.level_change_db(silence, silence))
    assert np.isnan(metrics.residual_ratio_db(silence, silence))
    assert np.isnan(metrics.pesq_wideband(silence, silence))
    assert np.isnan(metrics.stoi(silence, speech_like(1.0), extended=True))
    assert np.isfinite(metrics.log_spectral_distance_db(silence, silence))


def test_bootstrap_interval_holds_the_mean_and_narrows_with_more_files() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400).tolist()

    low, high = metrics.bootstrap_interval(values)
    few_low, few_high = metrics.bootstrap_interval(values[:25])

    assert low < np.mean(values) < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert few_high - few_low > 2 * (high - low)


def test_bootstrap_interval_leaves_out_what_is_not_a_number() -> None:
    assert metrics.bootstrap_interval([1.0, float("nan"), 1.0]) == (1.0, 1.0)
    assert np.isnan(metrics.bootstrap_interval([float("nan")])).all()


def test_intelligibility_of_a_signal_that_is_too_short_is_unknown() -> None:
    short = speech_like(1.0)[:3000]

    assert np.isnan(metrics.stoi(short, short, extended=True))

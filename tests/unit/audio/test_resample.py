"""Resampling: exact length, no delay, exact level, whatever the block size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.signal import correlate

from core.audio.resample import StreamResampler, expected_frames, resample_stream
from core.audio.types import FloatArray

RATES = [8000, 11024, 22050, 44100, 48000, 96000]


def cut(wav: FloatArray, block_frames: int) -> Iterator[FloatArray]:
    for start in range(0, wav.shape[-1], block_frames):
        yield wav[:, start : start + block_frames]


def resample(wav: FloatArray, input_rate: int, output_rate: int, *, frames: int | None = None) -> FloatArray:
    blocks = resample_stream(
        cut(wav, 4096), input_rate, output_rate=output_rate, channels=wav.shape[0], output_frames=frames
    )
    return np.concatenate(list(blocks), axis=-1)


def sine(frequency_hz: float, sample_rate: int, frames: int) -> FloatArray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(frames) / sample_rate))[None].astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frames", [1, 2, 3, 441, 4096, 44_117])
def test_round_trip_through_16_khz_keeps_the_exact_length(rate: int, frames: int) -> None:
    wav = np.random.default_rng(0).uniform(-1, 1, (2, frames)).astype(np.float32)

    down = resample(wav, rate, 16_000)
    back = resample(down, 16_000, rate, frames=frames)

    assert down.shape == (2, expected_frames(frames, rate, 16_000))
    assert back.shape == wav.shape
    assert np.isfinite(back).all()


@pytest.mark.parametrize("rate", RATES)
def test_round_trip_has_no_delay(rate: int) -> None:
    # White noise up to 3 kHz: inside the band of every rate, sharp in its autocorrelation.
    band = resample(np.random.default_rng(0).standard_normal((1, 6_000)).astype(np.float32), 6_000, rate)

    back = resample(resample(band, rate, 16_000), 16_000, rate, frames=band.shape[-1])

    lags = correlate(back[0], band[0])
    assert int(np.argmax(lags)) - (band.shape[-1] - 1) == 0


@pytest.mark.parametrize("rate", RATES)
def test_sine_keeps_its_level_and_phase(rate: int) -> None:
    wav = sine(1000.0, rate, rate)

    converted = resample(wav, rate, 16_000)[:, 2_000:-2_000]

    assert np.abs(converted - sine(1000.0, 16_000, 16_000)[:, 2_000:-2_000]).max() < 1e-4


def test_sine_above_the_new_band_vanishes() -> None:
    converted = resample(sine(10_000.0, 48_000, 48_000), 48_000, 16_000)[:, 1_000:-1_000]

    assert 20 * np.log10(np.abs(converted).max()) < -120


@pytest.mark.parametrize("rate", RATES)
def test_last_samples_are_those_of_a_signal_that_goes_on_in_silence(rate: int) -> None:
    wav = np.random.default_rng(0).uniform(-1, 1, (1, 5_000)).astype(np.float32)

    ended = resample(wav, rate, 16_000)
    continued = resample(np.pad(wav, ((0, 0), (0, 5_000))), rate, 16_000)

    assert np.abs(ended - continued[:, : ended.shape[-1]]).max() < 1e-6
    assert np.abs(ended[:, -20:]).max() > 0.05


@pytest.mark.parametrize("block_frames", [1, 37, 10_000])
def test_output_does_not_depend_on_the_block_size(block_frames: int) -> None:
    wav = np.random.default_rng(0).uniform(-1, 1, (1, 3_000)).astype(np.float32)

    whole = np.concatenate(list(resample_stream([wav], 44_100, output_rate=16_000, channels=1)), axis=-1)
    pieces = list(resample_stream(cut(wav, block_frames), 44_100, output_rate=16_000, channels=1))

    assert np.abs(np.concatenate(pieces, axis=-1) - whole).max() < 1e-6


def test_equal_rates_pass_the_samples_through_untouched() -> None:
    wav = np.random.default_rng(0).uniform(-2, 2, (3, 777)).astype(np.float32)

    assert np.array_equal(resample(wav, 16_000, 16_000), wav)


@pytest.mark.parametrize("frames", [10, 5_000])
def test_output_is_cut_or_filled_to_the_length_asked_for(frames: int) -> None:
    assert resample(sine(100.0, 48_000, 3_000), 48_000, 16_000, frames=frames).shape == (1, frames)


def test_empty_input_gives_empty_output() -> None:
    assert list(resample_stream([], 48_000, output_rate=16_000, channels=1)) == []


def test_silence_stays_exact_silence() -> None:
    assert not resample(np.zeros((1, 5_000), np.float32), 44_100, 16_000).any()


def test_block_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(2, T\)"):
        StreamResampler(48_000, 16_000, channels=2).process(np.zeros((1, 10), np.float32))

"""Lossy codecs: in place, of the same length, and worse at a lower bit rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate

from core.errors import InvalidOptions
from training.codecs import CodecName, FloatArray, through_codec

CODECS: tuple[CodecName, ...] = ("mp3", "aac", "opus")


def coloured_noise(sample_rate: int, channels: int | None = None) -> FloatArray:
    """Half a second with most of its power in the bass, which codecs keep."""
    samples = sample_rate // 2
    shape = (samples,) if channels is None else (channels, samples)
    white = np.fft.rfft(np.random.default_rng(0).standard_normal(shape))
    wav = np.fft.irfft(white / (1 + np.fft.rfftfreq(samples, 1 / sample_rate) / 300), samples)
    return (0.3 * wav / np.abs(wav).max()).astype(np.float32)


def error_db(output: FloatArray, source: FloatArray) -> float:
    return float(10 * np.log10(np.square(output - source).sum() / np.square(source).sum()))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("sample_rate", "channels"), [(16000, None), (44100, 2)])
def test_output_has_the_shape_and_the_timing_of_the_input(
    codec: CodecName, sample_rate: int, channels: int | None
) -> None:
    wav = coloured_noise(sample_rate, channels)

    coded = through_codec(wav, codec, bit_rate_bps=96_000, sample_rate=sample_rate)

    assert coded.shape == wav.shape
    assert coded.dtype == np.float32
    for before, after in zip(np.atleast_2d(wav), np.atleast_2d(coded), strict=True):
        assert int(np.argmax(correlate(after, before, mode="full"))) - (len(before) - 1) == 0
    assert error_db(coded, wav) < -6


@pytest.mark.parametrize("codec", CODECS)
def test_fewer_bits_leave_a_larger_error(codec: CodecName) -> None:
    wav = coloured_noise(16000)

    errors = [
        error_db(through_codec(wav, codec, bit_rate_bps=rate, sample_rate=16000), wav) for rate in (16_000, 64_000)
    ]

    assert errors[0] > errors[1] + 3


def test_nothing_stays_nothing_and_more_channels_are_refused() -> None:
    assert through_codec(np.zeros(0, np.float32), "mp3", bit_rate_bps=32_000, sample_rate=16000).shape == (0,)
    with pytest.raises(InvalidOptions, match="one or two channels"):
        through_codec(np.zeros((3, 100), np.float32), "mp3", bit_rate_bps=32_000, sample_rate=16000)

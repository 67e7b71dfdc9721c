"""Spectral subtraction: hiss falls by what the statistics of noise predict, loud tones stay."""

from __future__ import annotations

import numpy as np
import pytest

from core.dsp.spectral_subtraction import NoiseFloorAnalyser, SpectralSubtraction
from core.dsp.stft import WINDOW_GAIN, FrameCutter, OverlapAdder, hann_window
from core.errors import InvalidOptions
from tests.unit.dsp.signals import apply, hiss, level_db, sine

RATE = 16_000


def expected_reduction_db(*, over_subtraction: float, floor: float) -> float:
    """Return what subtraction leaves of Gaussian noise, whose magnitudes are Rayleigh distributed, in dB."""
    magnitude = np.linspace(1e-6, 10, 200_001)
    power = magnitude**2 * magnitude * np.exp(-(magnitude**2) / 2)
    mask = np.maximum(1 - over_subtraction * np.sqrt(np.pi / 2) / magnitude, floor)
    return float(10 * np.log10(np.sum(mask**2 * power) / np.sum(power)))


@pytest.mark.parametrize("over_subtraction", [1.0, 1.5, 3.0])
def test_hiss_falls_by_what_the_rayleigh_distribution_predicts(over_subtraction: float) -> None:
    wav = hiss(10 * RATE, rms=0.01)
    step = SpectralSubtraction(over_subtraction=over_subtraction)

    reduction_db = level_db(apply(step, wav)) - level_db(wav)

    # Overlapping frames average masks that differ, which takes out up to 2 dB more.
    expected = expected_reduction_db(over_subtraction=over_subtraction, floor=0.1)
    assert expected - 2 < reduction_db < expected + 0.5
    assert reduction_db > step.floor_db


def test_loud_tone_keeps_its_level_while_the_hiss_under_the_pause_falls() -> None:
    noise = hiss(8 * RATE, rms=0.003)
    tone = sine(1_000.0, RATE, seconds=8.0)
    tone[:, : 4 * RATE] = 0

    restored = apply(SpectralSubtraction(), noise + tone)

    pause, sound = slice(RATE, 3 * RATE), slice(5 * RATE, 7 * RATE)
    assert level_db(restored[:, pause]) - level_db(noise[:, pause]) < -12
    assert level_db(restored[:, sound]) == pytest.approx(level_db(tone[:, sound]), abs=0.1)


def test_floor_of_0_db_reconstructs_the_signal() -> None:
    wav = hiss(RATE + 17, rms=0.1, channels=2)

    assert np.abs(apply(SpectralSubtraction(floor_db=0), wav) - wav).max() < 1e-6


def test_noise_is_learned_from_the_quietest_frames_only() -> None:
    quiet, loud = hiss(2 * RATE, rms=0.001), hiss(8 * RATE, rms=0.1, seed=1)
    analyser = NoiseFloorAnalyser(512, 1, quiet_fraction=0.15)
    analyser.update(np.concatenate([loud, quiet], axis=-1))

    noise = analyser.result()

    # The mean of a Rayleigh magnitude is sqrt(pi) / 2 of its RMS, which is rms * sqrt(sum(window^2)).
    expected = 0.001 * np.sqrt(np.sum(hann_window(512) ** 2)) * np.sqrt(np.pi) / 2
    assert noise.shape == (257,)
    assert np.median(noise) == pytest.approx(expected, rel=0.03)


def test_digital_silence_does_not_count_as_the_quietest_noise() -> None:
    wav = np.concatenate([np.zeros((1, 5 * RATE), np.float32), hiss(5 * RATE, rms=0.01)], axis=-1)

    restored = apply(SpectralSubtraction(), wav)

    assert not restored[:, : 5 * RATE - 512].any()
    assert level_db(restored[:, 6 * RATE :]) - level_db(wav[:, 6 * RATE :]) < -12


def test_one_mask_acts_on_all_channels() -> None:
    wav = hiss(2 * RATE, rms=0.01, channels=1)
    stereo = np.concatenate([wav, 0.5 * wav])

    restored = apply(SpectralSubtraction(), stereo)

    assert np.abs(restored[1] - 0.5 * restored[0]).max() < 1e-7


@pytest.mark.parametrize(
    ("rate", "n_fft"), [(8_000, 256), (16_000, 512), (22_050, 512), (44_100, 1_024), (48_000, 2_048)]
)
def test_frame_keeps_its_duration_at_other_rates(rate: int, n_fft: int) -> None:
    analyser = SpectralSubtraction().analyser(rate, 1)

    assert analyser.result().shape == (n_fft // 2 + 1,)


@pytest.mark.parametrize("frames", [1, 2, 511])
def test_recording_shorter_than_a_frame_passes_unchanged(frames: int) -> None:
    wav = hiss(frames, rms=0.1)

    restored = apply(SpectralSubtraction(), wav)

    assert restored.shape == wav.shape
    assert np.abs(restored - wav).max() < 1e-6


@pytest.mark.parametrize("block_frames", [1, 100, 12_345])
def test_blocks_equal_the_whole(block_frames: int) -> None:
    wav = hiss(6_001, rms=0.01, channels=2) + np.tile(sine(440.0, RATE)[:, :6_001], (2, 1))

    whole = apply(SpectralSubtraction(), wav, block_frames=wav.shape[-1])

    assert whole.shape == wav.shape
    assert np.abs(apply(SpectralSubtraction(), wav, block_frames=block_frames) - whole).max() < 1e-6


def test_frames_that_are_added_up_again_give_the_stream() -> None:
    wav, window = hiss(5_000, rms=0.3, channels=2), hann_window(256)
    cutter, adder = FrameCutter(256, 2, lead=192), OverlapAdder(256, 2)

    blocks = [adder.add(frames * (window**2 / np.float32(WINDOW_GAIN))) for frames in cutter.cut(wav)]

    rebuilt = np.concatenate(blocks, axis=-1)[:, 192:]
    assert np.abs(rebuilt - wav[:, : rebuilt.shape[-1]]).max() < 1e-6


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_fft": 500}, "n_fft is 500; it must be a power of two"),
        ({"n_fft": 32}, "n_fft is 32; it must be 64 to 8192"),
        ({"quiet_fraction": 0}, "quiet_fraction is 0; it must be 0.01 to 1"),
        ({"over_subtraction": -1}, "over_subtraction is -1"),
        ({"floor_db": 3}, "floor_db is 3; it must be -80 to 0 dB"),
    ],
)
def test_parameters_out_of_range_are_named_with_their_limits(parameters: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidOptions, match=words):
        SpectralSubtraction(**parameters)

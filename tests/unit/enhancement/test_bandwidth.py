"""The part above an engine's band, by physics: tones and noise that the engine never hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from core.audio.resample import expected_frames, resample_stream
from core.enhancement.bandwidth import CarriedBand
from core.enhancement.protocol import FloatArray
from core.enhancement.scratch import ScratchSignal

NATIVE = 48_000
MODEL = 16_000
ToneGain = Callable[[FloatArray], FloatArray]


def noise(frames: int, *, channels: int = 1, seed: int = 0) -> FloatArray:
    return (0.1 * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)


def resample(wav: FloatArray, input_rate: int, output_rate: int) -> FloatArray:
    blocks = resample_stream([wav], input_rate, output_rate=output_rate, channels=wav.shape[0])
    return np.concatenate(list(blocks), axis=-1)


def speech_band_noise(frames: int, *, channels: int = 1) -> FloatArray:
    """White below 8 kHz, at 48 kHz."""
    return resample(noise(expected_frames(frames, NATIVE, MODEL), channels=channels), MODEL, NATIVE)[:, :frames]


def tone(frames: int, frequency_hz: float = 10_000, amplitude: float = 0.1) -> FloatArray:
    return (amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(frames) / NATIVE))[None].astype(np.float32)


def tone_level(wav: FloatArray, frequency_hz: float = 10_000) -> float:
    """The amplitude of a tone in the first channel of `wav`."""
    carrier = np.exp(-2j * np.pi * frequency_hz * np.arange(wav.shape[1]) / NATIVE)
    return float(2 * np.abs((wav[0] * carrier).mean()))


@contextmanager
def stored(
    folder: Path,
    wav: FloatArray,
    model_wav: FloatArray,
    estimate: FloatArray,
    *,
    sample_rate: int = NATIVE,
    model_rate: int = MODEL,
) -> Iterator[tuple[ScratchSignal, ScratchSignal, ScratchSignal]]:
    """The recording, the same at the engine's rate, and what the engine made of it, on disk."""
    with (
        ScratchSignal(folder / "native.f32", channels=len(wav), sample_rate=sample_rate) as native,
        ScratchSignal(folder / "model.f32", channels=len(model_wav), sample_rate=model_rate) as model,
        ScratchSignal(folder / "estimates.f32", channels=len(estimate), sample_rate=model_rate) as estimates,
    ):
        native.append(wav)
        model.append(model_wav)
        estimates.append(estimate)
        yield native, model, estimates


def carry(
    folder: Path, wav: FloatArray, *engines: ToneGain, sample_rate: int = NATIVE, model_rate: int = MODEL
) -> list[FloatArray]:
    """What comes out for each stem; an engine is a function of the signal at its rate."""
    channels = wav.shape[0]
    model_wav = resample(wav, sample_rate, model_rate)
    estimate = np.concatenate([engine(model_wav) for engine in engines])
    with stored(folder, wav, model_wav, estimate, sample_rate=sample_rate, model_rate=model_rate) as signals:
        stems = []
        for stem in range(len(engines)):
            part = slice(stem * channels, (stem + 1) * channels)
            carried = CarriedBand(*signals, channels=part, stems=len(engines))
            stems.append(np.concatenate(list(carried.blocks()), axis=-1))
    return stems


def identity(wav: FloatArray) -> FloatArray:
    return wav


def times(gain: float) -> ToneGain:
    return lambda wav: wav * np.float32(gain)


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("frames", [1, 2, 1_000, 100_003])
def test_identity_gives_back_the_whole_band_from_the_first_sample_to_the_last(
    tmp_path: Path, sample_rate: int, frames: int
) -> None:
    wav = noise(frames, channels=2)

    (output,) = carry(tmp_path, wav, identity, sample_rate=sample_rate)

    assert output.shape == wav.shape
    assert np.array_equal(output, wav)


@pytest.mark.parametrize("gain", [0.0, 0.25, 0.5])
def test_a_tone_above_the_band_gets_the_engine_s_broadband_gain(tmp_path: Path, gain: float) -> None:
    wav = speech_band_noise(96_000) + tone(96_000)

    (output,) = carry(tmp_path, wav, times(gain))

    assert tone_level(output) == pytest.approx(gain * 0.1, abs=2e-4)
    assert np.abs(output - gain * wav).max() < 1e-3


def test_the_gain_follows_the_engine_in_time(tmp_path: Path) -> None:
    def mute_the_second_half(wav: FloatArray) -> FloatArray:
        return np.where(np.arange(wav.shape[1]) < wav.shape[1] // 2, wav, 0).astype(np.float32)

    wav = speech_band_noise(96_000) + tone(96_000)

    (output,) = carry(tmp_path, wav, mute_the_second_half)

    settled = 4_800  # 0.1 s
    assert tone_level(output[:, : 48_000 - settled]) == pytest.approx(0.1, rel=0.01)
    assert np.abs(output[:, 48_000 + settled :]).max() < 1e-4


def test_only_the_top_of_the_band_decides(tmp_path: Path) -> None:
    """An engine that takes away everything below 3 kHz and leaves the octave below 8 kHz alone."""

    def high_pass(wav: FloatArray) -> FloatArray:
        spectrum = np.fft.rfft(wav)
        spectrum[:, np.fft.rfftfreq(wav.shape[1], 1 / MODEL) < 3_000] = 0
        return np.fft.irfft(spectrum, wav.shape[1]).astype(np.float32)

    (output,) = carry(tmp_path, speech_band_noise(96_000) + tone(96_000), high_pass)

    assert tone_level(output) == pytest.approx(0.1, rel=0.02)


def test_each_channel_has_a_gain_of_its_own(tmp_path: Path) -> None:
    wav = speech_band_noise(96_000, channels=2) + tone(96_000)
    gains = np.array([[1.0], [0.2]], np.float32)

    (output,) = carry(tmp_path, wav, lambda model: gains * model)

    assert tone_level(output[:1]) == pytest.approx(0.1, rel=0.01)
    assert tone_level(output[1:]) == pytest.approx(0.02, rel=0.01)


def test_what_has_nothing_next_to_it_is_left_as_it_is(tmp_path: Path) -> None:
    wav = tone(48_000)

    (output,) = carry(tmp_path, wav, identity)

    assert np.array_equal(output, wav)


def test_shares_of_the_stems_add_up_to_the_recording(tmp_path: Path) -> None:
    wav = speech_band_noise(96_000) + tone(96_000)
    wav[:, 40_000:60_000] = 0

    stems = carry(tmp_path, wav, times(0.7), times(0.3))

    assert np.abs(stems[0] + stems[1] - wav).max() < 1e-6


def test_silence_stays_exact_silence(tmp_path: Path) -> None:
    (output,) = carry(tmp_path, np.zeros((2, 50_000), np.float32), identity)

    assert not output.any()


def test_gain_does_not_depend_on_where_it_is_asked_for(tmp_path: Path) -> None:
    wav = noise(30_000)
    model_wav = resample(wav, NATIVE, MODEL)
    fading_in = model_wav * np.linspace(0, 1, model_wav.shape[1], dtype=np.float32)
    with stored(tmp_path, wav, model_wav, fading_in) as signals:
        carried = CarriedBand(*signals, channels=slice(0, 1), stems=1)

        whole = carried.gain(0, 30_000)
        parts = [carried.gain(start, min(start + 777, 30_000)) for start in range(0, 30_000, 777)]

    np.testing.assert_allclose(np.concatenate(parts, axis=-1), whole, atol=1e-6)


@pytest.mark.parametrize("sample_rate", [8_000, 32_000, 44_100, 48_000, 96_000])
def test_result_is_the_recording_times_the_gain_and_what_the_engine_adds_to_that(
    tmp_path: Path, sample_rate: int
) -> None:
    """At whatever rate the gain's frames fall: on samples of the engine's signal, or between them."""
    wav = noise(3 * sample_rate)
    model_wav = resample(wav, sample_rate, MODEL)
    swell = 0.5 + 0.4 * np.sin(np.arange(model_wav.shape[1]) / 2_000)
    with stored(tmp_path, wav, model_wav, (model_wav * swell).astype(np.float32), sample_rate=sample_rate) as signals:
        output = np.concatenate(list(CarriedBand(*signals, channels=slice(0, 1), stems=1).blocks()), axis=-1)
        gain = CarriedBand(*signals, channels=slice(0, 1), stems=1).gain(0, wav.shape[1])

    at_model = np.interp(np.arange(model_wav.shape[1]) * sample_rate / MODEL, np.arange(wav.shape[1]), gain[0])
    correction = resample((model_wav * (swell - at_model)).astype(np.float32), MODEL, sample_rate)
    inside = slice(sample_rate // 10, -sample_rate // 10)
    np.testing.assert_allclose(output[:, inside], (gain * wav + correction)[:, inside], atol=2e-5)

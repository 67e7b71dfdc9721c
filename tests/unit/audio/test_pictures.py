"""Waveform and spectrogram pictures, read back pixel by pixel."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.audio.axes import LEFT, PLOT_HEIGHT, PLOT_WIDTH, TOP, frequency_ticks, mel, mel_to_hz, time_ticks
from core.audio.colours import BACKGROUND, WAVE, WAVE_CORE, level_map
from core.audio.envelope import Envelope, EnvelopeMeter
from core.audio.pictures import (
    LEVEL_RANGE_DB,
    amplitude_ticks,
    draw_spectrogram,
    draw_waveform,
    top_level_db,
    waveform_scale,
)
from core.audio.spectrogram import MAX_COLUMNS, Spectrogram, SpectrogramMeter
from core.audio.types import FloatArray

RATE = 48_000


def noise(frames: int, *, channels: int = 1, level: float = 0.1) -> FloatArray:
    return (level * np.random.default_rng(0).standard_normal((channels, frames))).astype(np.float32)


def sine(frequency_hz: float, frames: int, *, amplitude: float = 0.5) -> FloatArray:
    return (amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(frames) / RATE))[None].astype(np.float32)


def envelope(wav: FloatArray, *, points: int = 2000, block_frames: int = 65_536) -> Envelope:
    meter = EnvelopeMeter(RATE, frames=wav.shape[-1], points=points)
    for start in range(0, wav.shape[-1], block_frames):
        meter.update(wav[:, start : start + block_frames])
    return meter.result()


def spectrogram(wav: FloatArray, *, max_columns: int = MAX_COLUMNS, block_frames: int = 65_536) -> Spectrogram:
    meter = SpectrogramMeter(RATE, wav.shape[0], frames=wav.shape[-1], max_columns=max_columns)
    for start in range(0, wav.shape[-1], block_frames):
        meter.update(wav[:, start : start + block_frames])
    return meter.result()


def plot_of(png: bytes) -> NDArray[np.uint8]:
    """The plot area (rows, columns, 3) of a picture."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert pixels.shape == (400, 1600, 3)
    return pixels[TOP : TOP + PLOT_HEIGHT, LEFT : LEFT + PLOT_WIDTH]


def is_colour(plot: NDArray[np.uint8], *colours: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(np.any([np.abs(plot.astype(int) - colour).max(axis=-1) <= 4 for colour in colours], axis=0))


@pytest.mark.parametrize("frames", [1, 2, 1_999, 2_000, 2_001, 100_003])
@pytest.mark.parametrize("block_frames", [1_000, 1_000_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_envelope_holds_the_extremes_and_rms_of_each_stretch(frames: int, channels: int, block_frames: int) -> None:
    wav = noise(frames, channels=channels)

    outline = envelope(wav, block_frames=block_frames)

    stretches = [
        wav[:, start : start + outline.samples_per_point] for start in range(0, frames, outline.samples_per_point)
    ]
    assert len(outline.low) == len(stretches) <= 2000
    np.testing.assert_array_equal(outline.low, [part.min() for part in stretches])
    np.testing.assert_array_equal(outline.high, [part.max() for part in stretches])
    np.testing.assert_allclose(outline.rms, [np.sqrt(np.mean(part**2)) for part in stretches], rtol=1e-4)


def test_envelope_json_is_audiowaveform_s_form() -> None:
    document = json.loads(envelope(np.array([[-1.0, 0.5, 0.25, 1.0]], np.float32), points=2).as_json())

    assert document == {
        "version": 2,
        "channels": 1,
        "sample_rate": RATE,
        "samples_per_pixel": 2,
        "bits": 16,
        "length": 2,
        "data": [-32_768, 16_384, 8_192, 32_767],
    }


def test_envelope_refuses_more_than_was_announced() -> None:
    with pytest.raises(ValueError, match="5 frames were fed, 4 were announced"):
        EnvelopeMeter(RATE, frames=4).update(np.zeros((1, 5), np.float32))


@pytest.mark.parametrize("frames", [3 * RATE, 60 * RATE])
def test_sine_of_full_scale_is_0_db_at_its_frequency_all_along(frames: int) -> None:
    image = spectrogram(sine(3_000, frames, amplitude=1.0))

    assert image.bin_hz == pytest.approx(RATE / 2048)
    column_peaks = image.powers[2:-2].max(axis=1)
    assert set(image.powers[2:-2].argmax(axis=1)) == {round(3_000 / image.bin_hz)}
    np.testing.assert_allclose(10 * np.log10(column_peaks), 0, atol=0.1)


def test_columns_follow_time() -> None:
    wav = sine(3_000, 10 * RATE)
    wav[:, 5 * RATE :] = 0

    powers = spectrogram(wav).powers.max(axis=1)

    half = len(powers) // 2
    assert powers[2 : half - 3].min() > 0.2
    assert powers[half + 3 :].max() == 0


@pytest.mark.parametrize("block_frames", [777, 30_000])
@pytest.mark.parametrize(
    ("frames", "max_columns"), [(1, 100), (3_000, 100), (100_000, 100), (100_000, 3), (400_000, 10)]
)
def test_spectrogram_does_not_depend_on_the_block_size(frames: int, max_columns: int, block_frames: int) -> None:
    wav = noise(frames, channels=2)

    whole = spectrogram(wav, max_columns=max_columns, block_frames=frames)
    pieces = spectrogram(wav, max_columns=max_columns, block_frames=block_frames)

    assert whole.powers.shape[0] <= max_columns
    np.testing.assert_allclose(pieces.powers, whole.powers, rtol=1e-4)


def test_channels_in_opposite_phase_are_both_seen() -> None:
    tone = sine(3_000, RATE)

    assert spectrogram(np.concatenate([tone, -tone])).powers.max() == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("frequency_hz", [300, 1_000, 4_000, 15_000])
def test_tone_is_a_bright_line_at_its_place_on_the_mel_axis(frequency_hz: float) -> None:
    png = draw_spectrogram(spectrogram(sine(frequency_hz, RATE)), "before", top_db=0)

    brightness = plot_of(png).sum(axis=-1).mean(axis=1)
    expected_row = (1 - mel(frequency_hz) / mel(RATE / 2)) * PLOT_HEIGHT
    assert int(brightness.argmax()) == pytest.approx(float(expected_row), abs=4)


def test_level_decides_the_colour_and_the_scale_is_the_caller_s() -> None:
    image = spectrogram(sine(1_000, RATE, amplitude=1.0))
    colours = level_map()

    bright, dark = (plot_of(draw_spectrogram(image, "x", top_db=top_db)) for top_db in (-5, LEVEL_RANGE_DB + 10))

    assert is_colour(bright, tuple(colours[-1])).any()
    assert is_colour(dark, tuple(colours[0])).all()


def test_colours_get_lighter_from_end_to_end() -> None:
    luminance = level_map() @ np.array([0.2126, 0.7152, 0.0722])

    assert (np.diff(luminance) >= 0).all()
    assert luminance[0] < 20
    assert luminance[-1] > 230


@pytest.mark.parametrize(("amplitude", "full_scale"), [(0.5, 1.0), (1.0, 1.0), (0.1, 0.125)])
def test_waveform_reaches_as_high_as_its_peak(amplitude: float, full_scale: float) -> None:
    outline = envelope(sine(1_000, RATE, amplitude=amplitude))

    is_wave = is_colour(plot_of(draw_waveform(outline, "after", full_scale=full_scale)), WAVE, WAVE_CORE)

    heights = is_wave.sum(axis=0) / PLOT_HEIGHT
    assert heights == pytest.approx(amplitude / full_scale, abs=0.05)


@pytest.mark.parametrize("frames", [400, 100_000, 10_000_000])
def test_single_click_is_seen_at_its_place_at_any_length(frames: int) -> None:
    wav = np.zeros((1, frames), np.float32)
    wav[:, frames // 4] = 1.0

    plot = plot_of(draw_waveform(envelope(wav), "before", full_scale=1.0))

    columns = np.flatnonzero(is_colour(plot, WAVE, WAVE_CORE)[5])
    assert columns.mean() / PLOT_WIDTH == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize("frames", [1, 20, 48_000])
def test_silence_is_drawn_as_a_line_and_as_darkness(frames: int) -> None:
    wav = np.zeros((2, frames), np.float32)
    image = spectrogram(wav)

    waves = is_colour(plot_of(draw_waveform(envelope(wav), "x", full_scale=waveform_scale(0))), WAVE, WAVE_CORE)
    colours = plot_of(draw_spectrogram(image, "x", top_db=top_level_db(image)))

    assert waves.sum(axis=0).max() == 1
    assert (colours == colours[0, 0]).all()


def test_picture_s_bytes_are_the_same_every_time() -> None:
    wav = noise(RATE)

    pictures = {draw_spectrogram(spectrogram(wav), "x", top_db=-20) for _ in range(2)}

    assert len(pictures) == 1
    assert Image.open(io.BytesIO(pictures.pop())).convert("RGB").getpixel((0, 0)) == BACKGROUND


def test_scale_s_top_lies_above_the_recording_s_loud_parts() -> None:
    level_db = top_level_db(spectrogram(sine(1_000, RATE, amplitude=0.1)))

    assert -20 < level_db <= 0
    assert level_db % 5 == 0


@pytest.mark.parametrize(("peak", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.51, 1.0), (0.5, 0.5), (0.1, 0.125), (1.5, 2.0)])
def test_waveform_scale_is_the_next_power_of_two(peak: float, scale: float) -> None:
    assert waveform_scale(peak) == scale


def test_amplitude_ticks_name_the_level_at_the_edge() -> None:
    labels = {tick.place: tick.label for tick in amplitude_ticks(0.5)}

    assert labels[0.0] == labels[1.0] == "-6 dB"


@pytest.mark.parametrize(
    ("duration_s", "first", "last"),
    [
        (0.0, None, None),
        (0.0005, "0.00000 s", "0.00050 s"),
        (3.45, "0.0 s", "3.0 s"),
        (11.0, "0:00", "0:11"),
        (180.0, "0:00", "3:00"),
        (10_800.0, "0:00", "3:00:00"),
        (1e7, "0:00", None),
    ],
)
def test_time_ticks_are_round_and_few(duration_s: float, first: str | None, last: str | None) -> None:
    ticks = time_ticks(duration_s)

    assert len(ticks) <= 13
    assert all(0 <= tick.place <= 1 + 1e-9 for tick in ticks)
    assert (ticks[0].label if ticks else None) == first
    if last:
        assert ticks[-1].label == last


@pytest.mark.parametrize("nyquist_hz", [500, 4_000, 8_000, 24_000, 96_000])
def test_frequency_ticks_lie_on_the_mel_axis_without_touching(nyquist_hz: float) -> None:
    ticks = frequency_ticks(nyquist_hz)

    places = [tick.place for tick in ticks]
    assert ticks[0].label == "0 Hz"
    assert len(ticks) >= 3
    assert min(np.diff(places)) * PLOT_HEIGHT >= 18
    assert max(places) <= 1


def test_mel_and_back_is_the_identity() -> None:
    frequencies_hz = np.array([0.0, 100.0, 1_000.0, 20_000.0])

    np.testing.assert_allclose(mel_to_hz(mel(frequencies_hz)), frequencies_hz, atol=1e-6)
    assert mel(1_000.0) == pytest.approx(1_000, abs=0.1)

"""Waveform and spectrogram as PNG, 1600 x 400, with axes; the same scale for before and after, so that they compare."""

from __future__ import annotations

import io
import math
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from core.audio.axes import (
    LEFT,
    PLOT_HEIGHT,
    PLOT_WIDTH,
    TOP,
    WIDTH,
    Tick,
    draw_grid,
    frequency_ticks,
    label_font,
    mel,
    mel_to_hz,
    new_picture,
)
from core.audio.colours import GRID, MAP_SIZE, PLOT_INK, TEXT_INK, WAVE, WAVE_CORE, level_map, palette
from core.audio.envelope import Envelope
from core.audio.spectrogram import Spectrogram
from core.audio.types import FloatArray

LEVEL_RANGE_DB = 90.0
"""From the brightest to the darkest colour; quieter than that is the rounding of 16 bits."""
_LOUD_QUANTILE = 0.999
_HEADROOM_DB = 10.0  # so that steady noise does not look as bright as the voice over it
_TOP_STEP_DB = 5.0
_TOP_COLUMN_STEP = 5  # every fifth column tells how loud the loud parts are
_LOOKS_PER_ROW = 12
_BAR_GAP, _BAR_WIDTH = 8, 10
_ROWS_AT_ONCE = 16
_GRID_INK, _WAVE_INK, _WAVE_CORE_INK = PLOT_INK, PLOT_INK + 1, PLOT_INK + 2
_AMPLITUDE_TICKS_DB = (0, -6, -12, -20)


def top_level_db(spectrogram: Spectrogram) -> float:
    """The top of the colour scale in dB that suits `spectrogram`; 0 for silence."""
    looks = spectrogram.powers[::_TOP_COLUMN_STEP]
    power = float(np.quantile(looks, _LOUD_QUANTILE)) if looks.size else 0.0
    return _TOP_STEP_DB * math.ceil((10 * math.log10(power) + _HEADROOM_DB) / _TOP_STEP_DB) if power > 0 else 0.0


def draw_spectrogram(spectrogram: Spectrogram, title: str, *, top_db: float) -> bytes:
    """PNG of `spectrogram` on a mel axis.

    The brightest colour is `top_db`, 0 being a sine of full scale, the darkest `LEVEL_RANGE_DB` below.
    """
    nyquist_hz = spectrogram.sample_rate / 2
    duration_s = spectrogram.frames / spectrogram.sample_rate
    picture = new_picture(title, duration_s=duration_s, rows=frequency_ticks(nyquist_hz))
    # The natural logarithm, because NumPy takes many of it at once.
    levels_db = np.float32(10 / math.log(10)) * np.log(_mel_powers(spectrogram) + np.float32(1e-20))
    place = np.clip(1 + (levels_db - np.float32(top_db)) / np.float32(LEVEL_RANGE_DB), 0, 1)
    columns = (np.arange(PLOT_WIDTH) * len(place)) // PLOT_WIDTH
    image = (PLOT_INK + np.round(place * (MAP_SIZE - 1))).astype(np.uint8)[columns].T
    picture.paste(Image.fromarray(np.ascontiguousarray(image)), (LEFT, TOP))
    _draw_colour_bar(picture, top_db)
    return _png(picture, palette(level_map()))


def draw_waveform(envelope: Envelope, title: str, *, full_scale: float) -> bytes:
    """PNG of `envelope`: extremes, and the RMS inside them; the picture's edges are at an amplitude of `full_scale`."""
    duration_s = envelope.frames / envelope.sample_rate
    ticks = amplitude_ticks(full_scale)
    picture = new_picture(title, duration_s=duration_s, rows=ticks)
    draw_grid(picture, duration_s=duration_s, rows=ticks, ink=_GRID_INK)
    count = len(envelope.low)
    first = np.arange(PLOT_WIDTH) * count // PLOT_WIDTH
    last = np.maximum(-(-np.arange(1, PLOT_WIDTH + 1) * count // PLOT_WIDTH) - 1, first)
    # Every point that a column touches counts, so that no peak is lost between two columns.
    points = np.minimum(first + np.arange(int((last - first).max()) + 1)[:, None], last)
    low, high, rms = (
        envelope.low[points].min(axis=0),
        envelope.high[points].max(axis=0),
        envelope.rms[points].max(axis=0),
    )
    pixels = np.array(picture)
    plot = pixels[TOP : TOP + PLOT_HEIGHT, LEFT : LEFT + PLOT_WIDTH]
    for bottom, top, ink in (
        (low, high, _WAVE_INK),
        (np.maximum(-rms, low), np.minimum(rms, high), _WAVE_CORE_INK),
    ):
        rows = np.arange(PLOT_HEIGHT, dtype=np.int16)[:, None]
        plot[(rows >= _row(top, full_scale)) & (rows <= _row(bottom, full_scale))] = ink
    return _png(Image.fromarray(pixels), palette((GRID, WAVE, WAVE_CORE)))


def waveform_scale(peak: float) -> float:
    """The amplitude at a picture's edge: 1, or less in steps of a factor of 2 for what would hardly be seen."""
    return 1.0 if peak <= 0 else min(max(2.0 ** math.ceil(math.log2(peak)), 2.0**-10), 2.0**4)


def amplitude_ticks(full_scale: float) -> list[Tick]:
    """Levels in dBFS on both sides of the middle line."""
    edge_db = 20 * math.log10(full_scale)
    ticks = [Tick(place=0.5, label="")]
    for level_db in _AMPLITUDE_TICKS_DB:
        half = 10 ** (level_db / 20) / 2
        label = f"{round(edge_db + level_db)} dB"
        ticks += [Tick(place=0.5 + half, label=label), Tick(place=0.5 - half, label=label)]
    return ticks


def _mel_powers(spectrogram: Spectrogram) -> FloatArray:
    """The powers (columns, rows), top row first, on the mel axis."""
    weights = _rows_of_bins(spectrogram)
    powers = np.empty((len(spectrogram.powers), PLOT_HEIGHT), np.float32)
    # A row looks at few bins, and neighbours at nearly the same ones.
    for first in range(0, PLOT_HEIGHT, _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        used = np.flatnonzero(weights[rows].any(axis=0))
        bins = slice(used[0], used[-1] + 1)
        powers[:, rows] = spectrogram.powers[:, bins] @ weights[rows, bins].T
    return powers


def _rows_of_bins(spectrogram: Spectrogram) -> NDArray[np.float32]:
    """Weights (rows, bins), top row first: a row is the mean of a dozen looks, evenly spread over its band in mel."""
    bins = spectrogram.powers.shape[1]
    count = PLOT_HEIGHT * _LOOKS_PER_ROW
    mels = (np.arange(count)[::-1] + 0.5) / count * mel(spectrogram.sample_rate / 2)
    places = np.clip(mel_to_hz(mels) / spectrogram.bin_hz, 0, bins - 1)
    lower = np.minimum(places.astype(np.intp), bins - 2)
    weights = np.zeros((PLOT_HEIGHT, bins), np.float32)
    rows = np.arange(count) // _LOOKS_PER_ROW
    np.add.at(weights, (rows, lower), (1 - (places - lower)) / _LOOKS_PER_ROW)
    np.add.at(weights, (rows, lower + 1), (places - lower) / _LOOKS_PER_ROW)
    return weights


def _draw_colour_bar(picture: Image.Image, top_db: float) -> None:
    ramp = (PLOT_INK + np.linspace(MAP_SIZE - 1, 0, PLOT_HEIGHT).round()).astype(np.uint8)
    left = LEFT + PLOT_WIDTH + _BAR_GAP
    picture.paste(Image.fromarray(np.repeat(ramp[:, None], _BAR_WIDTH, axis=1)), (left, TOP))
    draw = ImageDraw.Draw(picture)
    font = label_font()
    for below_db in range(0, int(LEVEL_RANGE_DB) + 1, 30):
        y = TOP + round(below_db / LEVEL_RANGE_DB * (PLOT_HEIGHT - 1))
        draw.text((left + _BAR_WIDTH + 4, y), f"{round(top_db) - below_db}", fill=TEXT_INK, font=font, anchor="lm")
    draw.text((WIDTH - 6, TOP / 2), "dBFS", fill=TEXT_INK, font=font, anchor="rm")


def _row(amplitudes: FloatArray, full_scale: float) -> NDArray[np.int16]:
    place = np.clip((1 - amplitudes / full_scale) / 2, 0, 1)
    return np.round(place * (PLOT_HEIGHT - 1)).astype(np.int16)


def _png(picture: Image.Image, colours: NDArray[np.uint8]) -> bytes:
    """The picture, of numbers of the palette `colours` (N, 3)."""
    file = io.BytesIO()
    picture.putpalette(colours.tobytes())
    # Runs and Huffman codes alone: noise repeats nothing, and searching it for repetitions takes three times as long.
    picture.save(file, "PNG", compress_type=zlib.Z_RLE)
    return file.getvalue()

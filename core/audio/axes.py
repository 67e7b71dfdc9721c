"""The frame of a picture: its plot area, time and frequency axes, ticks and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.audio.colours import BACKGROUND_INK, TEXT_INK

WIDTH, HEIGHT = 1600, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 56, 28, 28
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
FONT_SIZE = 14

_TIME_STEPS_S = (
    *(digit * 10.0**power for power in range(-5, 0) for digit in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 36_000, 86_400),
)
_MAX_TIME_TICKS = 12
_FREQUENCY_TICKS_HZ = (0, 250, 500, *(n * 1000 for n in (1, 2, 4, 6, 8, 12, 16, 20, 32, 48, 96, 192, 384)))
_MIN_TICK_DISTANCE = 18  # pixels, so that labels do not touch


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A label at `place`, 0..1 of the axis from left or bottom."""

    place: float
    label: str


def mel(frequency_hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The mel scale, 2595 log10(1 + f / 700): nearly linear below 1 kHz, logarithmic above, as hearing is."""
    return np.asarray(2595 * np.log10(1 + np.asarray(frequency_hz) / 700))


def mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `mel`."""
    return np.asarray(700 * (10 ** (mels / 2595) - 1))


def time_ticks(duration_s: float) -> list[Tick]:
    """Round times along a recording of `duration_s`, a dozen at most."""
    if duration_s <= 0:
        return []
    step_s = next((step for step in _TIME_STEPS_S if duration_s / step <= _MAX_TIME_TICKS), duration_s)
    count = int(duration_s / step_s)
    return [Tick(place=n * step_s / duration_s, label=_time_label(n * step_s, step_s)) for n in range(count + 1)]


def frequency_ticks(nyquist_hz: float) -> list[Tick]:
    """Round frequencies along a mel axis that ends at `nyquist_hz`, as many as fit."""
    ticks: list[Tick] = []
    for frequency_hz in _FREQUENCY_TICKS_HZ:
        place = float(mel(frequency_hz) / mel(nyquist_hz))
        if place > 1:
            break
        if not ticks or (place - ticks[-1].place) * PLOT_HEIGHT >= _MIN_TICK_DISTANCE:
            label = f"{frequency_hz / 1000:g} kHz" if frequency_hz >= 1000 else f"{frequency_hz} Hz"
            ticks.append(Tick(place=place, label=label))
    return ticks


def new_picture(title: str, *, duration_s: float, rows: Sequence[Tick]) -> Image.Image:
    """An empty picture with its title, time axis and the labels `rows` at the left; the plot area is for the caller.

    Its pixels are numbers of a palette (mode L): Pillow smooths text between two of them, which the ramp allows for.
    """
    picture = _labelled_axes(duration_s, tuple(rows)).copy()
    ImageDraw.Draw(picture).text((LEFT, TOP / 2), title, fill=TEXT_INK, font=label_font(), anchor="lm")
    return picture


@lru_cache(maxsize=4)
def _labelled_axes(duration_s: float, rows: tuple[Tick, ...]) -> Image.Image:
    """The same for every signal of a job."""
    picture = Image.new("L", (WIDTH, HEIGHT), BACKGROUND_INK)
    draw = ImageDraw.Draw(picture)
    font = label_font()
    for tick in rows:
        y = TOP + round((1 - tick.place) * (PLOT_HEIGHT - 1))
        draw.line([(LEFT - 5, y), (LEFT - 1, y)], fill=TEXT_INK)
        draw.text((LEFT - 8, y), tick.label, fill=TEXT_INK, font=font, anchor="rm")
    for tick in time_ticks(duration_s):
        x = LEFT + round(tick.place * (PLOT_WIDTH - 1))
        draw.line([(x, HEIGHT - BOTTOM), (x, HEIGHT - BOTTOM + 4)], fill=TEXT_INK)
        draw.text((x, HEIGHT - BOTTOM + 7), tick.label, fill=TEXT_INK, font=font, anchor="ma")
    return picture


@cache
def label_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all text in a picture."""
    return ImageFont.load_default(FONT_SIZE)


def draw_grid(picture: Image.Image, *, duration_s: float, rows: Sequence[Tick], ink: int) -> None:
    """Thin lines of palette colour `ink` through the plot area at every tick."""
    draw = ImageDraw.Draw(picture)
    for tick in rows:
        y = TOP + round((1 - tick.place) * (PLOT_HEIGHT - 1))
        draw.line([(LEFT, y), (LEFT + PLOT_WIDTH - 1, y)], fill=ink)
    for tick in time_ticks(duration_s):
        x = LEFT + round(tick.place * (PLOT_WIDTH - 1))
        draw.line([(x, TOP), (x, TOP + PLOT_HEIGHT - 1)], fill=ink)


def _time_label(time_s: float, step_s: float) -> str:
    if step_s < 1:
        digits = max(0, -int(np.floor(np.log10(step_s) + 1e-9)))
        return f"{time_s:.{digits}f} s"
    hours, rest = divmod(round(time_s), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

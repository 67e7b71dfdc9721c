"""The colours of the pictures: a perceptual map for levels, and the few of axes and text.

Pictures are drawn in numbers of a palette. It begins with a ramp from the background to the colour of text, so that the
grey levels with which text is smoothed are right; the colours of what is plotted follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BACKGROUND = (14, 20, 24)
GRID = (38, 50, 56)
TEXT = (176, 190, 197)
WAVE = (38, 166, 154)
WAVE_CORE = (128, 203, 196)

RAMP_SIZE = 64
BACKGROUND_INK, TEXT_INK = 0, RAMP_SIZE - 1
PLOT_INK = RAMP_SIZE
"""The first colour of what is plotted."""
MAP_SIZE = 256 - RAMP_SIZE
_LIGHTNESS = (0.16, 0.98)
_HUE_DEGREES = (265.0, 95.0)  # from blue through teal to yellow
_CHROMA = 0.125

# OKLab (Ottosson, 2020): LMS cube roots of (L, a, b), and linear sRGB of LMS.
_TO_LMS = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_TO_LINEAR_SRGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def palette(colours: NDArray[np.uint8] | Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """RGB (RAMP_SIZE + N, 3): from the background to text, then `colours` (N, 3)."""
    place = np.linspace(0, 1, RAMP_SIZE)[:, np.newaxis]
    ramp = (1 - place) * np.array(BACKGROUND) + place * np.array(TEXT)
    return np.concatenate([np.round(ramp).astype(np.uint8), np.asarray(colours, dtype=np.uint8)])


def level_map() -> NDArray[np.uint8]:
    """RGB (MAP_SIZE, 3) from dark blue over teal to pale yellow.

    OKLab lightness rises evenly, so that equal steps in level look equal, in grey too.
    """
    place = np.linspace(0, 1, MAP_SIZE)
    lightness = _LIGHTNESS[0] + (_LIGHTNESS[1] - _LIGHTNESS[0]) * place
    hue = np.deg2rad(_HUE_DEGREES[0] + (_HUE_DEGREES[1] - _HUE_DEGREES[0]) * place)
    chroma = _CHROMA * np.sin(np.pi * (0.15 + 0.78 * place))  # little at the ends, where the gamut is narrow
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    linear = np.clip((lab @ _TO_LMS.T) ** 3 @ _TO_LINEAR_SRGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(255 * encoded), dtype=np.uint8)

"""One gain for all outputs of a job: none clips, and they still add up, to the recording turned down as much."""

from __future__ import annotations

import math
from collections.abc import Iterable

from core.enhancement.protocol import FloatArray

FULL_SCALE = 1 - 2**-15
"""The largest sample of 16 bits."""


def find_common_gain(blocks: Iterable[FloatArray]) -> float:
    """Return the gain (amplitude ratio) that brings the loudest of `blocks` down to full scale; 1 if it is not above.

    The blocks have any shapes; empty ones count as silence.
    """
    peak = 0.0
    for block in blocks:
        peak = max(peak, float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
    return FULL_SCALE / peak if peak > 1 else 1.0


def gain_db(gain: float) -> float:
    """Return an amplitude ratio in dB."""
    return 20 * math.log10(gain)


def gain_warning(gain: float) -> tuple[str, ...]:
    """What the user should know of a common gain, () where there is none."""
    if gain == 1:
        return ()
    return (
        f"All outputs were turned down by {-gain_db(gain):.1f} dB together: so none of them is clipped, and they still "
        "add up to the recording, turned down as much. WAV with subtype FLOAT keeps the level.",
    )

"""Programme loudness by ITU-R BS.1770-5 and EBU R 128: integrated loudness, loudness range, true peak."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.audio.block_filter import BLOCK_SAMPLES, BlockFilter
from core.audio.framing import Framer
from core.audio.power_histogram import PowerHistogram
from core.audio.true_peak import TruePeakMeter
from core.audio.types import FloatArray

HOP_S = 0.1
"""Blocks of 400 ms with 75 % overlap start every 100 ms; the short-term windows share the step."""
MOMENTARY_HOPS = 4
SHORT_TERM_HOPS = 30
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
RANGE_RELATIVE_GATE_LU = -20.0
RANGE_QUANTILES = (0.10, 0.95)
OFFSET_LU = -0.691
"""Makes up for the gain of the K-weighting at 1 kHz."""
SURROUND_WEIGHT = 1.41
"""About 1.5 dB, for channels at 60 to 120 degrees."""

CHANNEL_WEIGHTS = {
    5: (1.0, 1.0, 1.0, SURROUND_WEIGHT, SURROUND_WEIGHT),  # L R C Ls Rs
    6: (1.0, 1.0, 1.0, 0.0, SURROUND_WEIGHT, SURROUND_WEIGHT),  # L R C LFE Ls Rs
    8: (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, SURROUND_WEIGHT, SURROUND_WEIGHT),  # 5.1 with back, then side channels
}
"""By channel count, in the order of WAV files; every channel weighs 1 in any other layout."""

# The analogue prototypes behind the 48 kHz coefficients that the recommendation prints.
_SHELF_HZ, _SHELF_DB, _SHELF_Q, _SHELF_SLOPE = 1681.974450955533, 3.999843853973347, 0.7071752369554196, 0.499666774155
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
_MIN_SHELF_RATE = 4_000  # Hz; below it the shelf's corner comes too near to the Nyquist frequency

# In float32 256 KiB: larger arrays leave the cache, and the allocator gives them back to the system each time.
_PIECE_SAMPLES = 65_536

_BLOCKS_AT_ONCE = 64
"""Whose powers are gated together: a block of sound brings a dozen, and gating costs the same for one as for many."""


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """What a LoudnessMeter found; None where the signal is too short (400 ms, 3 s) or nothing passes the gates."""

    integrated_lufs: float | None
    range_lu: float | None
    true_peak_dbtp: float | None


class LoudnessMeter:
    """Measures a stream: feed blocks (C, T) of any size, ask `result` at the end. Memory does not grow.

    A mono recording is measured as one channel, 3 dB below the same sound on two, as the recommendation says. Powers
    are gathered in classes of 0.02 dB, which moves a result by less than 0.01 LU.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._filter = BlockFilter(k_weighting(sample_rate), channels)
        self._weights = np.array(CHANNEL_WEIGHTS.get(channels, (1.0,) * channels))
        self._blocks: Framer[np.float32] = Framer(BLOCK_SAMPLES)
        self._framer: Framer[np.float32] = Framer(max(round(sample_rate * HOP_S), 1))
        self._hops = np.zeros(0)  # the powers of the last 3 s
        self._fresh: list[NDArray[np.float64]] = []  # those that came after them, block by block
        self._momentary = PowerHistogram()
        self._short_term = PowerHistogram()
        self._true_peak = TruePeakMeter(channels)

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T)."""
        piece = max(_PIECE_SAMPLES // len(wav), 1)
        for start in range(0, wav.shape[-1], piece):
            self._update_piece(wav[:, start : start + piece])

    def _update_piece(self, wav: FloatArray) -> None:
        self._true_peak.update(wav)
        self._add(self._filter.process(self._blocks.push(wav).reshape(len(wav), -1)))

    def _add(self, weighted: FloatArray) -> None:
        frames = self._framer.push(weighted)
        self._fresh.append(self._weights @ (np.vecdot(frames, frames) / frames.shape[-1]))
        if len(self._fresh) == _BLOCKS_AT_ONCE:
            self._gate()

    def _gate(self) -> None:
        known = len(self._hops)
        hops = np.concatenate([self._hops, *self._fresh])
        self._fresh.clear()
        self._momentary.add(_gated(_moving_mean(hops, MOMENTARY_HOPS, known=known)))
        self._short_term.add(_gated(_moving_mean(hops, SHORT_TERM_HOPS, known=known)))
        self._hops = hops[-(SHORT_TERM_HOPS - 1) :]

    def result(self) -> Loudness:
        """The figures of all that was taken in; call once, after the last block."""
        rest = self._blocks.rest
        if rest is not None and rest.shape[-1]:
            block = np.pad(rest, ((0, 0), (0, BLOCK_SAMPLES - rest.shape[-1])))
            self._add(self._filter.process(block)[:, : rest.shape[-1]])
        self._gate()
        true_peak = self._true_peak.result()
        return Loudness(
            integrated_lufs=self._integrated(),
            range_lu=self._range(),
            true_peak_dbtp=20 * math.log10(true_peak) if true_peak > 0 else None,
        )

    def _integrated(self) -> float | None:
        if not self._momentary.count:
            return None
        audible = self._momentary.above(self._momentary.mean() * 10 ** (RELATIVE_GATE_LU / 10))
        return power_to_lufs(audible.mean())

    def _range(self) -> float | None:
        if not self._short_term.count:
            return None
        audible = self._short_term.above(self._short_term.mean() * 10 ** (RANGE_RELATIVE_GATE_LU / 10))
        low, high = (power_to_lufs(audible.quantile(fraction)) for fraction in RANGE_QUANTILES)
        return high - low


def k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """Second-order sections (N, 6) of the K-weighting at any sample rate: a shelf for the head, then a high-pass.

    Each is the bilinear transform of its analogue prototype, pre-warped at its corner; at 48 kHz these are the
    recommendation's coefficients. Below 4 kHz the shelf is left out: all that such a signal holds lies before it.
    """
    warped = math.tan(math.pi * _HIGH_PASS_HZ / sample_rate)
    sections = [_section((1.0, -2.0, 1.0), warped, _HIGH_PASS_Q)]
    if sample_rate >= _MIN_SHELF_RATE:
        warped = math.tan(math.pi * _SHELF_HZ / sample_rate)
        high = 10 ** (_SHELF_DB / 20)
        middle = high**_SHELF_SLOPE
        norm = 1 + warped / _SHELF_Q + warped**2
        numerator = (
            (high + middle * warped / _SHELF_Q + warped**2) / norm,
            2 * (warped**2 - high) / norm,
            (high - middle * warped / _SHELF_Q + warped**2) / norm,
        )
        sections.insert(0, _section(numerator, warped, _SHELF_Q))
    return np.array(sections)


def power_to_lufs(power: float) -> float:
    """Loudness of a K-weighted, channel-weighted mean square; `power` must be above 0."""
    return OFFSET_LU + 10 * math.log10(power)


def _section(numerator: tuple[float, float, float], warped: float, q: float) -> tuple[float, ...]:
    norm = 1 + warped / q + warped**2
    return (*numerator, 1.0, 2 * (warped**2 - 1) / norm, (1 - warped / q + warped**2) / norm)


def _moving_mean(values: NDArray[np.float64], width: int, *, known: int) -> NDArray[np.float64]:
    """Means of every `width` consecutive values that end after the first `known`, which were there before."""
    fresh = values[max(known - width + 1, 0) :]
    if len(fresh) < width:
        return np.zeros(0)
    # Differences of one running sum: a fifth of the time of a window over each mean, and exact to a part in 10^14.
    sums = np.cumsum(np.concatenate([np.zeros(1), fresh]))
    return np.asarray((sums[width:] - sums[:-width]) / width)


def _gated(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    return powers[powers > 10 ** ((ABSOLUTE_GATE_LUFS - OFFSET_LU) / 10)]

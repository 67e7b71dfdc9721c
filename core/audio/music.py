"""Telling music from speech: the notes of music rest on a pitch, and a voice that speaks hardly ever does."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.ndimage import uniform_filter1d
from scipy.signal.windows import hann

from core.audio.framing import Framer
from core.audio.resample import StreamResampler
from core.audio.types import FloatArray

SAMPLE_RATE = 8_000  # Hz
N_FFT = 1024  # 128 ms: tones a semitone apart are two peaks from 270 Hz on
HOP_LENGTH = 256  # 32 ms
BLOCK_FRAMES = 125  # 4 s: what is on the same pitch for so long is hum, and no note
DENSE_BLOCKS = 6  # 24 s, of which every block is looked at, so that a short recording is judged by all of it
SPARSE_STEP = 3  # afterwards every third block is
BAND_HZ = (150.0, 3_500.0)  # of melodies and voices, without drums and mains hum's strongest lines

PEAK_DB = 9.0  # above the mean level of the neighbourhood
NEIGHBOURHOOD_BINS = 21  # 164 Hz
RANGE_DB = 40.0  # below the frame's strongest bin is no tone, below the loudest frame no sound
CELL_CENTS = 25.0  # of the pitch grid; a tone may move by one cell and still be steady
STEADY_FRAMES = 9  # 290 ms; the pitch of a speaking voice hardly ever rests for so long
LINE_SHARE = 0.9  # of a block's frames, from which on a pitch is hum
TONAL_SHARE = 0.3  # of a frame's power, from which on it counts as tonal
QUIET_RMS = 0.5  # of the block's mean RMS: below it a frame is a pause, where hum would look like a note

MIN_SOUND_S = 5.0
MUSIC_TONAL_RATIO = 0.45
"""Between the most tonal speech and the least tonal music that were measured, see docs/report.md."""

_REFERENCE_HZ = 100.0
_TINY = 1e-12


def is_music(tonal_ratio: float | None) -> bool:
    """True for music; False for speech, noise, and what is too short to tell (None)."""
    return tonal_ratio is not None and tonal_ratio >= MUSIC_TONAL_RATIO


class MusicMeter:
    """Feed blocks (C, T) of any size, ask `result` once at the end. Memory does not grow.

    The channels are mixed down and looked at in blocks of 4 s: peaks of the spectrum are put on a pitch grid, and those
    that stay on one pitch for 290 ms, and not for the whole block, are steady tones. Drums alone are no music to it.
    From the 24th second on every third block is looked at.
    """

    def __init__(self, sample_rate: int) -> None:
        self._resampler = StreamResampler(sample_rate, SAMPLE_RATE, channels=1)
        self._framer: Framer[np.float32] = Framer(HOP_LENGTH)
        self._hops: list[FloatArray] = []
        self._held = 0  # hops
        self._blocks = 0  # that have gone by
        self._window = hann(N_FFT, sym=False).astype(np.float32)
        low, high = (round(limit_hz * N_FFT / SAMPLE_RATE) for limit_hz in BAND_HZ)
        self._band = slice(low - 1, high + 1)
        self._loudest_db = -np.inf
        self._loud_frames = self._tonal_frames = 0

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T)."""
        self._hold(self._resampler.process(wav.mean(axis=0, keepdims=True, dtype=np.float32)))

    def result(self) -> float | None:
        """The share, 0..1, of the frames with sound whose power lies in steady tones; None for less than 5 s of it."""
        self._hold(self._resampler.flush())
        if self._held >= N_FFT // HOP_LENGTH + STEADY_FRAMES:
            self._look(np.concatenate(self._hops))
        has_enough = self._loud_frames * HOP_LENGTH >= MIN_SOUND_S * SAMPLE_RATE
        return self._tonal_frames / self._loud_frames if has_enough else None

    def _hold(self, wav: FloatArray) -> None:
        hops = self._framer.push(wav)[0]
        self._hops.append(hops)
        self._held += len(hops)
        # The last frame of a block reaches into the next one.
        block_hops = BLOCK_FRAMES + N_FFT // HOP_LENGTH - 1
        while self._held >= block_hops:
            held = np.concatenate(self._hops)
            if self._blocks < DENSE_BLOCKS or self._blocks % SPARSE_STEP == 0:
                self._look(held[:block_hops])
            self._blocks += 1
            self._hops, self._held = [held[BLOCK_FRAMES:]], self._held - BLOCK_FRAMES

    def _look(self, hops: FloatArray) -> None:
        """Count the frames of one block, `hops` (N, HOP_LENGTH)."""
        signal = hops.reshape(-1)
        frames = np.lib.stride_tricks.sliding_window_view(signal, N_FFT)[::HOP_LENGTH]
        spectrum = rfft(frames * self._window, axis=-1)[:, self._band]
        powers = np.abs(spectrum)  # half the time of the squares of both parts
        powers *= powers
        powers += np.float32(_TINY)
        levels = np.float32(10 / math.log(10)) * np.log(powers)  # NumPy takes many natural logarithms at once
        strongest = levels.max(axis=1)
        self._loudest_db = max(self._loudest_db, float(strongest.max()))
        has_sound = strongest > max(self._loudest_db - RANGE_DB, 10 * np.log10(_TINY) + RANGE_DB)
        shares = steady_shares(powers, levels, first_bin=self._band.start)
        energies = np.square(hops).mean(axis=1)
        rms = np.sqrt(np.convolve(energies, np.full(N_FFT // HOP_LENGTH, HOP_LENGTH / N_FFT), mode="valid"))
        is_loud = has_sound & (rms >= QUIET_RMS * rms.mean())
        self._loud_frames += int(np.count_nonzero(is_loud))
        self._tonal_frames += int(np.count_nonzero(shares[is_loud] > TONAL_SHARE))


def steady_shares(powers: FloatArray, levels: FloatArray, *, first_bin: int) -> NDArray[np.float64]:
    """The share (T,), 0..1, of each frame's power that lies in tones of steady pitch.

    `powers` and `levels` (dB) are (T, F); their first column is bin `first_bin` of the spectrum.
    """
    is_peak = levels > levels.max(axis=1, keepdims=True) - RANGE_DB
    is_peak[:, [0, -1]] = False
    is_peak[:, 1:-1] &= (levels[:, 1:-1] >= levels[:, :-2]) & (levels[:, 1:-1] > levels[:, 2:])
    is_peak &= levels > uniform_filter1d(levels, NEIGHBOURHOOD_BINS, axis=1) + PEAK_DB
    times, bins = np.divmod(np.flatnonzero(is_peak), is_peak.shape[1])  # an eighth of the time of np.nonzero
    cells = _pitch_cells(levels, times, bins, first_bin=first_bin)
    shape = (len(levels), int(cells.max(initial=0)) + 3)
    is_sounding = np.zeros(shape, dtype=bool)
    for offset in (-1, 0, 1):
        is_sounding[times, cells + offset] = True
    is_steady = _runs(is_sounding, STEADY_FRAMES) & (is_sounding.mean(axis=0) < LINE_SHARE)
    steady = is_steady[times, cells]
    around = powers[times, bins - 1] + powers[times, bins] + powers[times, bins + 1]
    tonal = np.bincount(times[steady], weights=around[steady], minlength=len(levels))
    shares: NDArray[np.float64] = tonal / powers.sum(axis=1)
    return shares


def _pitch_cells(
    levels: FloatArray, times: NDArray[np.intp], bins: NDArray[np.intp], *, first_bin: int
) -> NDArray[np.intp]:
    """The pitch of each peak on a grid of `CELL_CENTS`, from 1; its frequency by a parabola through three levels."""
    before, at, after = (levels[times, bins + offset] for offset in (-1, 0, 1))
    curvature = before - 2 * at + after
    shift = np.where(curvature < 0, 0.5 * (before - after) / np.minimum(curvature, -_TINY), 0.0)
    frequency_hz = (first_bin + bins + np.clip(shift, -0.5, 0.5)) * SAMPLE_RATE / N_FFT
    cells: NDArray[np.intp] = 1 + np.rint(1200 / CELL_CENTS * np.log2(frequency_hz / _REFERENCE_HZ)).astype(np.intp)
    return cells


def _runs(mask: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """`mask` (T, F) where it belongs to a run of at least `length` along the first axis."""
    if len(mask) < length:
        return np.zeros_like(mask)
    count = len(mask) - length + 1
    is_start = mask[:count].copy()
    for offset in range(1, length):
        is_start &= mask[offset : offset + count]
    kept = np.zeros_like(mask)
    for offset in range(length):
        kept[offset : offset + count] |= is_start
    return kept

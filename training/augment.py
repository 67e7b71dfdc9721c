"""Changes to speech and mixtures: rooms, equalisers, spectral tilt, band limits, clipping; (T,) float32.

The length is kept by all but `change_speed`."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, oaconvolve, sosfilt

from core.dsp.equalizer import peaking_sections

FloatArray = NDArray[np.float32]

EQUALISER_BANDS = 4
EQUALISER_LOWEST_HZ = 60.0
EQUALISER_OCTAVES = (0.5, 2.0)  # width of a band
DIRECT_SOUND_MS = 2.0  # around the peak of an impulse response


def reverberate(
    dry: FloatArray, impulse_response: FloatArray, *, sample_rate: int, early_ms: float
) -> tuple[FloatArray, FloatArray]:
    """Return `dry` in the room, and the same with the direct sound and reflections up to `early_ms` only.

    What precedes the strongest tap is cut off, so that neither result is delayed; the strongest tap becomes 1.
    """
    peak = int(np.argmax(np.abs(impulse_response)))
    taps = impulse_response[peak:] / np.float32(impulse_response[peak])
    early = taps.copy()
    edge = int(early_ms * 1e-3 * sample_rate)
    fade = int(DIRECT_SOUND_MS * 1e-3 * sample_rate)
    slope = np.linspace(1, 0, fade, dtype=np.float32)[: max(0, len(early) - edge)]
    early[edge : edge + len(slope)] *= slope
    early[edge + fade :] = 0
    wet = oaconvolve(dry, taps)[: len(dry)]
    target = oaconvolve(dry, early)[: len(dry)]
    return wet.astype(np.float32), target.astype(np.float32)


def convolve(wav: FloatArray, impulse_response: FloatArray) -> FloatArray:
    """Return `wav` (C, T) through an impulse response (C, N) which begins with the direct sound; the tail is cut."""
    return np.asarray(oaconvolve(wav, impulse_response, axes=-1)[..., : wav.shape[-1]], dtype=np.float32)


def change_speed(wav: FloatArray, factor: float) -> FloatArray:
    """Return `wav` played `factor` times as fast, which raises its pitch alike; about T / factor samples."""
    if factor == 1 or len(wav) == 0:
        return wav
    return np.asarray(soxr.resample(wav, factor, 1.0, quality="MQ"), dtype=np.float32)


def high_shelf(wav: FloatArray, *, gain_db: float, sample_rate: int, corner_hz: float = 2000.0) -> FloatArray:
    """Return `wav` with what lies above `corner_hz` raised or lowered by `gain_db`: a first-order shelf."""
    high = sosfilt(butter(1, corner_hz, "highpass", fs=sample_rate, output="sos"), wav)
    return np.asarray(wav + (10 ** (gain_db / 20) - 1) * high, dtype=np.float32)


def draw_equaliser(rng: np.random.Generator, *, limit_db: float, sample_rate: int) -> NDArray[np.float64]:
    """Return random peaking sections (4, 6), each within +-`limit_db`, between 60 Hz and 0.45 of the sample rate."""
    sections = []
    for _ in range(EQUALISER_BANDS):
        centre_hz = np.exp(rng.uniform(np.log(EQUALISER_LOWEST_HZ), np.log(0.45 * sample_rate)))
        half_width = 2 ** (rng.uniform(*EQUALISER_OCTAVES) / 2)
        gain_db = rng.uniform(-limit_db, limit_db)
        sections.append(
            peaking_sections(centre_hz / half_width, centre_hz * half_width, gain_db=gain_db, sample_rate=sample_rate)
        )
    return np.concatenate(sections)


def equalise(wav: FloatArray, sections: NDArray[np.float64]) -> FloatArray:
    """Return `wav` (..., T) through second-order sections (N, 6)."""
    return np.asarray(sosfilt(sections, wav, axis=-1), dtype=np.float32)


def band_limit(wav: FloatArray, *, low_hz: float, high_hz: float, sample_rate: int) -> FloatArray:
    """Return `wav` through a 4th-order Butterworth band-pass, as a telephone or an old microphone passes it."""
    return np.asarray(
        sosfilt(butter(2, (low_hz, high_hz), "bandpass", fs=sample_rate, output="sos"), wav), dtype=np.float32
    )


def hard_clip(wav: FloatArray, *, share: float) -> FloatArray:
    """Return `wav` cut off at the level that the `share` (0..1) of its loudest samples exceeds."""
    threshold = np.float32(np.quantile(np.abs(wav), 1.0 - share))
    return np.clip(wav, -threshold, threshold)

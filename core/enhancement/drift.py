"""Whether one version of speech still says what another says: envelope, level and pitch, window by window.

Both are enhanced versions of one recording, so they agree in all that the speaker did. Compared is what carries words
and voice: the movement of the spectral envelope (phonemes), the level, the pitch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from core.enhancement.protocol import FloatArray

WINDOW_S = 1.0
"""Long enough for a few phonemes, short enough that a changed word fills most of it."""
STEP_S = 0.5
FRAME_S = 0.032
FRAME_STEP_S = 0.016
BANDS = 20
LOWEST_HZ, HIGHEST_HZ = 100.0, 7000.0
"""Between them lies what speech at 16 kHz holds."""
FLOOR_DB = -40.0
"""What is lower beside the window's loudest band is noise and its removal, not words."""
PITCH_FRAME_S, PITCH_STEP_S = 0.04, 0.02
LOWEST_PITCH_HZ, HIGHEST_PITCH_HZ = 70.0, 400.0
VOICED_AUTOCORRELATION = 0.6
MIN_VOICED_FRAMES = 8

_TINY = 1e-12

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DriftLimits:
    """What two versions may differ by; beyond any of them the window has drifted.

    The correlation was set between what was measured on 8 s of read speech against the same enhanced by limpid-speech:
    0.90 and more for the clean recording, 0.60 and more after an equaliser of 6 dB per octave, 0.47 and less for other
    words of the same speaker.
    """

    envelope_correlation: float = 0.55  # at least; 1 is the same envelope
    level_db: float = 12.0  # either way
    pitch_semitones: float = 2.0  # median over frames that are voiced in both
    silence_db: float = -50.0  # RMS beside the recording's peak, below which a window holds nothing


def find_drift(
    estimate: FloatArray, reference: FloatArray, sample_rate: int, *, peak: float, limits: DriftLimits
) -> list[tuple[int, int]]:
    """Return the windows [start, stop) in samples in which `estimate` (T,) has drifted from `reference` (T,).

    `peak` is that of the whole recording. Windows overlap by half; a signal shorter than one is one window.
    """
    length, window, step = len(reference), round(WINDOW_S * sample_rate), round(STEP_S * sample_rate)
    starts = list(range(0, max(length - window, 0) + 1, step))
    if starts[-1] + window < length:
        starts.append(length - window)
    places = [(start, min(start + window, length)) for start in starts]
    return [
        (start, stop)
        for start, stop in places
        if has_drifted(estimate[start:stop], reference[start:stop], sample_rate, peak=peak, limits=limits)
    ]


def has_drifted(
    estimate: FloatArray, reference: FloatArray, sample_rate: int, *, peak: float, limits: DriftLimits
) -> bool:
    """Return whether one window of `estimate` (T,) says something else than `reference` (T,).

    Sound where the other is silent is drift; silence in both is none. So is whatever is not a number.
    """
    if not np.isfinite(estimate).all():
        return True
    if len(reference) < round(FRAME_S * sample_rate):
        return False
    floor = peak * 10 ** (limits.silence_db / 20)
    levels = [float(np.sqrt(np.mean(np.square(wav, dtype=np.float64)))) for wav in (estimate, reference)]
    if max(levels) <= max(floor, _TINY):
        return False
    if abs(20 * np.log10((levels[0] + _TINY) / (levels[1] + _TINY))) > limits.level_db:
        return True
    if envelope_correlation(estimate, reference, sample_rate) < limits.envelope_correlation:
        return True
    difference = pitch_difference_semitones(estimate, reference, sample_rate)
    return difference is not None and difference > limits.pitch_semitones


def envelope_correlation(left: FloatArray, right: FloatArray, sample_rate: int) -> float:
    """Return the correlation (-1..1) of the band levels in dB of two waves (T,), over bands and frames together."""
    a, b = (_band_levels_db(wav, sample_rate) for wav in (left, right))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (np.sqrt((a * a).sum() * (b * b).sum()) + _TINY))


def pitch_difference_semitones(left: FloatArray, right: FloatArray, sample_rate: int) -> float | None:
    """Return the median distance of the pitches of two waves (T,), None where too little is voiced in both."""
    (a, a_voiced), (b, b_voiced) = (_pitches_hz(wav, sample_rate) for wav in (left, right))
    both = a_voiced & b_voiced
    if both.sum() < MIN_VOICED_FRAMES:
        return None
    return float(np.median(np.abs(12 * np.log2(a[both] / b[both]))))


def _frames(wav: FloatArray, *, length: int, step: int) -> Matrix:
    padded = np.pad(wav.astype(np.float64), (0, max(length - len(wav), 0)))
    frames: Matrix = sliding_window_view(padded, length)[::step]
    return frames


def _band_levels_db(wav: FloatArray, sample_rate: int) -> Matrix:
    """Levels (frames, BANDS) of bands of equal width on the mel scale, none below FLOOR_DB from the loudest."""
    length = round(FRAME_S * sample_rate)
    frames = _frames(wav, length=length, step=round(FRAME_STEP_S * sample_rate))
    power = np.abs(np.fft.rfft(frames * np.hanning(length))) ** 2
    mels = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 1)
    edges = np.round(700 * (10 ** (mels / 2595) - 1) * length / sample_rate).astype(int)
    levels = 10 * np.log10(np.add.reduceat(power, edges, axis=1)[:, :BANDS] + _TINY)
    floored: Matrix = np.maximum(levels, levels.max() + FLOOR_DB)
    return floored


def _mel(frequency_hz: float) -> float:
    return float(2595 * np.log10(1 + frequency_hz / 700))


def _pitches_hz(wav: FloatArray, sample_rate: int) -> tuple[Matrix, NDArray[np.bool_]]:
    """Pitch (frames,) by autocorrelation, and whether the frame is voiced."""
    length = round(PITCH_FRAME_S * sample_rate)
    frames = _frames(wav, length=length, step=round(PITCH_STEP_S * sample_rate))
    frames = frames - frames.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(frames, n=2 * length, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :length]
    shortest, longest = round(sample_rate / HIGHEST_PITCH_HZ), round(sample_rate / LOWEST_PITCH_HZ)
    lags = np.arange(shortest, longest + 1)
    # The overlap shrinks with the lag; without this long periods would seem weaker than they are.
    strengths = correlation[:, lags] / (correlation[:, :1] + _TINY) * (length / (length - lags))
    strongest = strengths.max(axis=1)
    # The first strong lag: twice the period is as strong as the period.
    first = np.argmax(strengths >= 0.9 * strongest[:, np.newaxis], axis=1)
    return sample_rate / lags[first], strongest > VOICED_AUTOCORRELATION

"""Pitch and tempo by the fundamental frequency and the duration of tones, and by where clicks come to lie."""

from __future__ import annotations

import numpy as np
import pytest

from training.pitch_time import WINDOW_MS, FloatArray, change_pitch_and_tempo, time_stretch

SAMPLE_RATE = 16000


def tone(frequency_hz: float, *, samples: int = 24000) -> FloatArray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(samples) / SAMPLE_RATE)).astype(np.float32)


def frequency_of(wav: FloatArray) -> float:
    """The strongest frequency in the middle of `wav`, in Hz."""
    inner = wav[3000:-3000]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner)), 1 << 18))
    return float(np.argmax(spectrum) * SAMPLE_RATE / (1 << 18))


@pytest.mark.parametrize(
    ("semitones", "tempo"), [(2.0, 1.0), (-2.0, 1.0), (0.0, 0.8), (0.0, 1.2), (2.0, 0.8), (-1.0, 1.2)]
)
def test_pitch_and_duration_are_those_asked_for(semitones: float, tempo: float) -> None:
    changed = change_pitch_and_tempo(tone(440), semitones=semitones, tempo=tempo, sample_rate=SAMPLE_RATE)

    assert len(changed) == pytest.approx(24000 / tempo, abs=2)
    assert frequency_of(changed) == pytest.approx(440 * 2 ** (semitones / 12), rel=1e-3)
    assert np.std(changed[3000:-3000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)


@pytest.mark.parametrize("tempo", [0.8, 1.2])
def test_events_keep_their_place(tempo: float) -> None:
    clicks = np.zeros(16000, np.float32)
    clicks[[4000, 12000]] = 1.0

    stretched = time_stretch(clicks, tempo, sample_rate=SAMPLE_RATE)

    for place in (4000 / tempo, 12000 / tempo):
        near = np.square(stretched[int(place) - 1500 : int(place) + 1500])
        centroid = int(place) - 1500 + np.dot(near, np.arange(len(near))) / near.sum()
        assert centroid == pytest.approx(place, abs=0.5e-3 * WINDOW_MS * SAMPLE_RATE)


def test_no_change_gives_the_same_samples() -> None:
    wav = tone(300)

    np.testing.assert_array_equal(change_pitch_and_tempo(wav, sample_rate=SAMPLE_RATE), wav)


def test_channels_are_changed_each_for_itself() -> None:
    both = np.stack([tone(300), tone(700)])

    changed = change_pitch_and_tempo(both, semitones=1, tempo=1.1, sample_rate=SAMPLE_RATE)

    for channel, frequency_hz in zip(changed, (300, 700), strict=True):
        alone = change_pitch_and_tempo(tone(frequency_hz), semitones=1, tempo=1.1, sample_rate=SAMPLE_RATE)
        np.testing.assert_allclose(channel, alone, atol=1e-4)


def test_silence_and_nothing_stay_what_they_are() -> None:
    assert not change_pitch_and_tempo(np.zeros(5000, np.float32), semitones=2, sample_rate=SAMPLE_RATE).any()
    assert change_pitch_and_tempo(np.zeros(0, np.float32), semitones=2, sample_rate=SAMPLE_RATE).shape == (0,)

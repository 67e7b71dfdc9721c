"""Music is told from speech, noise and hum; synthesised, each with what makes it what it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from core.audio.music import MUSIC_TONAL_RATIO, MusicMeter, is_music
from core.audio.types import FloatArray

RATE = 16_000
SECONDS = 12


def listen(wav: FloatArray, *, sample_rate: int = RATE, block_frames: int = 4096) -> float | None:
    meter = MusicMeter(sample_rate)
    for start in range(0, wav.shape[-1], block_frames):
        meter.update(wav[:, start : start + block_frames])
    return meter.result()


def seconds(sample_rate: int = RATE, length_s: float = SECONDS) -> np.ndarray:
    return np.arange(round(length_s * sample_rate)) / sample_rate


def harmonics(phase: np.ndarray, partials: int = 8) -> np.ndarray:
    """The sum of sin(n phase) / n, by Horner's rule: one exponential instead of a sine for each partial."""
    turn = np.exp(1j * phase)
    total = np.zeros_like(turn)
    for number in range(partials, 0, -1):
        total += 1 / number
        total *= turn
    return total.imag


@cache
def chords(sample_rate: int = RATE, length_s: float = SECONDS) -> FloatArray:
    """Two chords a second, four voices, each note struck and dying away."""
    time_s = seconds(sample_rate, length_s)
    roots_hz = 220 * 2 ** (np.array([0, 5, 7, 9, 4, 2, 0, 7])[(2 * time_s).astype(int) % 8] / 12)
    notes = [harmonics(2 * np.pi * roots_hz * 2 ** (step / 12) * time_s) for step in (0, 4, 7, 12)]
    envelope = np.exp(-1.5 * (2 * time_s % 1))
    return (0.05 * envelope * np.sum(notes, axis=0)).astype(np.float32)[np.newaxis]


@cache
def talk(length_s: float = SECONDS) -> FloatArray:
    """Voiced syllables, four a second, of a pitch that glides over half an octave, with a pause after each six."""
    time_s = seconds(length_s=length_s)
    f0_hz = 130 * 2 ** (0.25 * np.sin(2 * np.pi * 1.7 * time_s) + 0.15 * np.sin(2 * np.pi * 0.6 * time_s))
    voice = harmonics(2 * np.pi * np.cumsum(f0_hz) / RATE, partials=25)
    syllables = np.maximum(np.sin(2 * np.pi * 4 * time_s), 0) * (time_s % 2 < 1.5)
    return (0.2 * syllables * voice).astype(np.float32)[np.newaxis]


def noise(seed: int = 1) -> FloatArray:
    return (0.1 * np.random.default_rng(seed).standard_normal((1, SECONDS * RATE))).astype(np.float32)


def hum() -> FloatArray:
    return (0.1 * harmonics(2 * np.pi * 100 * seconds(), partials=20)).astype(np.float32)[np.newaxis]


@pytest.mark.parametrize("sample_rate", [8_000, 44_100])
def test_chords_are_music_at_any_rate(sample_rate: int) -> None:
    found = listen(chords(sample_rate, 8), sample_rate=sample_rate)

    assert found is not None
    assert found > 0.8
    assert is_music(found)


def test_music_with_a_little_noise_is_music() -> None:
    assert is_music(listen(chords() + 0.1 * noise()))


@pytest.mark.parametrize(
    "make",
    [
        talk,
        lambda: talk() + 0.3 * noise(),
        lambda: talk() + 0.2 * hum(),
        noise,
        hum,
        lambda: sosfilt(butter(4, 500, fs=RATE, output="sos"), noise()),
    ],
    ids=["speech", "noisy speech", "speech and hum", "noise", "hum", "rumble"],
)
def test_speech_noise_and_hum_are_no_music(make: Callable[[], FloatArray]) -> None:
    found = listen(np.asarray(make(), np.float32))

    assert found is not None
    assert found < 0.25 < MUSIC_TONAL_RATIO
    assert not is_music(found)


@pytest.mark.parametrize("frames", [0, 1, 100, 3 * RATE])
def test_too_short_a_recording_is_not_judged(frames: int) -> None:
    assert listen(chords()[:, :frames]) is None


def test_what_is_not_judged_is_no_music() -> None:
    assert not is_music(None)


def test_silence_is_not_judged() -> None:
    assert listen(np.zeros((2, SECONDS * RATE), np.float32)) is None


def test_pauses_between_the_pieces_do_not_count() -> None:
    pause = np.zeros((1, 10 * RATE), np.float32)

    assert is_music(listen(np.concatenate([chords(), pause, chords()], axis=1)))


def test_blocks_of_any_size_give_the_same_figures() -> None:
    wav = np.concatenate([chords(), talk()], axis=1)

    assert listen(wav, block_frames=997) == listen(wav, block_frames=65_536)


def test_channels_are_mixed_down() -> None:
    mono = chords()

    assert listen(np.concatenate([2 * mono, np.zeros_like(mono)])) == listen(mono)


def test_music_that_begins_after_a_minute_of_silence_is_heard() -> None:
    silence = np.zeros((1, 60 * RATE), np.float32)

    assert is_music(listen(np.concatenate([silence, chords(length_s=40)], axis=1)))


def test_talk_before_the_music_weighs_more_than_music_that_follows_for_a_moment() -> None:
    assert not is_music(listen(np.concatenate([talk(60), chords()], axis=1)))

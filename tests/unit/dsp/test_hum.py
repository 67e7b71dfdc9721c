"""The hum filter: takes out hum that is there, at any mains frequency, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from core.dsp.hum import HumFilter
from core.dsp.step import FloatArray
from core.errors import InvalidOptions
from tests.unit.dsp.signals import apply, hiss, level_db, sine

SAMPLE_RATE = 8_000
SECONDS = 16.0


def hum(mains_hz: float, *, harmonics: int = 8, amplitude: float = 0.02) -> FloatArray:
    tones = [sine(mains_hz * k, SAMPLE_RATE, seconds=SECONDS, amplitude=amplitude / k) for k in range(1, harmonics + 1)]
    return np.sum(tones, axis=0, dtype=np.float32)


def notes() -> FloatArray:
    """A melody over a bass, each note half a second long."""
    rng = np.random.default_rng(0)
    time_s = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    melody = [
        0.1 * np.sin(2 * np.pi * 440 * 2 ** (rng.integers(-12, 12) / 12) * time_s) * np.hanning(len(time_s))
        + 0.1 * np.sin(2 * np.pi * 110 * 2 ** (rng.integers(-12, 5) / 12) * time_s) * np.hanning(len(time_s))
        for _ in range(round(2 * SECONDS))
    ]
    return np.concatenate(melody)[None].astype(np.float32) + hiss(round(SAMPLE_RATE * SECONDS), rms=1e-4)


@pytest.mark.parametrize("mains_hz", [50.0, 60.0, 49.6, 60.5])
def test_hum_and_its_harmonics_are_taken_out(mains_hz: float) -> None:
    background = hiss(round(SAMPLE_RATE * SECONDS), rms=1e-4)

    cleaned = apply(HumFilter(), background + hum(mains_hz), SAMPLE_RATE)

    settled = slice(4 * SAMPLE_RATE, None)
    assert level_db((cleaned - background)[:, settled]) < level_db(hum(mains_hz)[:, settled]) - 30


def test_programme_beside_the_hum_keeps_its_level() -> None:
    programme = notes()

    cleaned = apply(HumFilter(), programme + hum(50.0), SAMPLE_RATE)

    before, after = programme[:, 4 * SAMPLE_RATE :], cleaned[:, 4 * SAMPLE_RATE :]
    projection = np.vdot(after, before) / np.vdot(before, before)
    assert 20 * np.log10(projection) == pytest.approx(0, abs=0.5)
    assert level_db(after - before) < level_db(hum(50.0)) - 6


@pytest.mark.parametrize("signal", ["notes", "hiss", "silence", "bass"])
def test_recording_without_hum_is_left_bit_exact(signal: str) -> None:
    frames = round(SAMPLE_RATE * SECONDS)
    wav = {
        "notes": notes(),
        "hiss": hiss(frames, rms=0.1),
        "silence": np.zeros((1, frames), np.float32),
        "bass": sine(100.0, SAMPLE_RATE, seconds=SECONDS) + hiss(frames, rms=1e-4),  # one tone alone is music
    }[signal]

    assert np.array_equal(apply(HumFilter(), wav, SAMPLE_RATE), wav)


def test_hum_in_opposite_phase_on_two_channels_is_found() -> None:
    mains = hum(50.0) + hiss(round(SAMPLE_RATE * SECONDS), rms=1e-4)

    cleaned = apply(HumFilter(), np.concatenate((mains, -mains)), SAMPLE_RATE)

    assert level_db(cleaned[:, 4 * SAMPLE_RATE :]) < level_db(mains) - 20


def test_less_than_a_window_is_left_as_it_is() -> None:
    wav = hum(50.0)[:, : 3 * SAMPLE_RATE]

    assert np.array_equal(apply(HumFilter(), wav, SAMPLE_RATE), wav)


def test_block_size_does_not_change_the_result() -> None:
    wav = hum(50.0) + hiss(round(SAMPLE_RATE * SECONDS), rms=1e-3)

    whole = apply(HumFilter(), wav, SAMPLE_RATE, block_frames=wav.shape[1])

    np.testing.assert_allclose(apply(HumFilter(), wav, SAMPLE_RATE, block_frames=777), whole, atol=1e-6)


def test_notch_wider_than_ten_hertz_is_refused() -> None:
    with pytest.raises(InvalidOptions, match=r"width_hz is 11; it must be 0\.2 to 10 Hz"):
        HumFilter(width_hz=11)

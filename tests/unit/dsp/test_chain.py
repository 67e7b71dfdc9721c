"""The chain: JSON there and back, order, passes, block sizes, silence, short recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.dsp.chain import STEPS, VOICE_CHAIN, chain_as_json, parse_chain, run_chain
from core.dsp.equalizer import EqualizerBand
from core.dsp.filters import HighPass, LowPass
from core.dsp.levels import PeakNormalize, SoftClip
from core.dsp.noise_gate import NoiseGate
from core.dsp.step import FloatArray
from core.errors import InvalidOptions
from tests.unit.dsp.signals import apply, hiss, run, sine

RATE = 16_000


def speech_like(frames: int, *, channels: int = 1) -> FloatArray:
    """Return bursts of tones over hiss and rumble, with pauses."""
    time_s = np.arange(frames) / RATE
    voice = sum(np.sin(2 * np.pi * f * time_s) / f for f in (150, 450, 1_200, 2_600)) * 40
    wav = 0.3 * voice * (np.sin(2 * np.pi * 1.5 * time_s) > 0) + 0.05 * np.sin(2 * np.pi * 30 * time_s)
    return (np.tile(wav, (channels, 1)) + hiss(frames, rms=0.003, channels=channels)).astype(np.float32)


def test_voice_chain_holds_the_eight_steps_in_order() -> None:
    described = chain_as_json(VOICE_CHAIN)

    assert [step["step"] for step in described] == [
        "high_pass",
        "low_pass",
        "spectral_subtraction",
        "noise_gate",
        "mud_cut",
        "presence_boost",
        "clarity_boost",
        "peak_normalize",
    ]
    assert described[0] == {"step": "high_pass", "enabled": True, "cutoff_hz": 80.0, "order": 4}
    assert described[4] == {"step": "mud_cut", "enabled": True, "low_hz": 200.0, "high_hz": 400.0, "gain_db": -3.0}
    assert described[7]["peak"] == 0.99


def test_chain_survives_the_way_through_json() -> None:
    steps = (*VOICE_CHAIN, SoftClip(threshold=0.8, enabled=False), EqualizerBand(low_hz=50, high_hz=60, gain_db=-12))

    assert parse_chain(json.loads(json.dumps(chain_as_json(steps)))) == steps


@pytest.mark.parametrize("name", sorted(STEPS))
def test_every_step_is_known_by_its_name_with_its_defaults(name: str) -> None:
    assert parse_chain([{"step": name}]) == (STEPS[name],)


def test_parameters_that_are_given_replace_the_defaults() -> None:
    assert parse_chain([{"step": "high_pass", "cutoff_hz": 120, "enabled": False}]) == (
        HighPass(cutoff_hz=120, enabled=False),
    )


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"step": "reverb"}, "chain, step 2: 'reverb' is no step; choose one of high_pass"),
        ({}, "chain, step 2: None is no step"),
        ({"step": ["high_pass"]}, "is no step"),
        ({"step": "high_pass", "cutoff": 80}, "step 2: high_pass has no parameter 'cutoff'; it has enabled, cutoff_hz"),
        ({"step": "mud_cut", "name": "x"}, "mud_cut has no parameter 'name'"),
        ({"step": "high_pass", "cutoff_hz": -1}, "step 2: high_pass: cutoff_hz is -1; it must be 1 to 384000 Hz"),
        ({"step": "high_pass", "enabled": 1}, "enabled is 1; it must be true or false"),
        ({"step": "high_pass", "cutoff_hz": None}, "cutoff_hz is None"),
    ],
)
def test_chain_that_is_not_valid_is_refused_with_the_place(description: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptions, match=words):
        parse_chain([{"step": "low_pass"}, description])


def test_chain_of_too_many_steps_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="chain has 33 steps; the most is 32"):
        parse_chain([{"step": "soft_clip"}] * 33)


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("frames", [1, 2, 100, 513, 30_001])
def test_block_size_never_changes_the_result(tmp_path: Path, frames: int, sample_rate: int) -> None:
    wav = speech_like(frames, channels=2)

    whole = run(VOICE_CHAIN, wav, tmp_path, sample_rate=sample_rate, block_frames=frames)

    assert whole.shape == wav.shape
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()
    for block_frames in (7, 1_000) if frames < 1_000 else (1_000, 4_097):
        blocks = run(VOICE_CHAIN, wav, tmp_path, sample_rate=sample_rate, block_frames=block_frames)
        assert np.abs(blocks - whole).max() < 1e-6


def test_chain_is_its_steps_one_after_the_other(tmp_path: Path) -> None:
    wav = speech_like(2 * RATE)

    expected = wav
    for step in VOICE_CHAIN:
        expected = apply(step, expected)

    assert np.abs(run(VOICE_CHAIN, wav, tmp_path) - expected).max() < 1e-6


def test_order_of_the_steps_matters_and_is_kept(tmp_path: Path) -> None:
    wav = speech_like(RATE)
    level_first = (PeakNormalize(), EqualizerBand(low_hz=400, high_hz=500, gain_db=12))

    assert np.abs(run(level_first[::-1], wav, tmp_path)).max() == pytest.approx(0.99, abs=1e-6)
    assert np.abs(run(level_first, wav, tmp_path)).max() > 1.5


def test_disabled_steps_do_nothing(tmp_path: Path) -> None:
    wav = speech_like(5_000)

    assert np.array_equal(run([HighPass(enabled=False), PeakNormalize(enabled=False)], wav, tmp_path), wav)
    assert list(tmp_path.iterdir()) == []


def test_empty_chain_returns_the_source(tmp_path: Path) -> None:
    wav = speech_like(5_000)

    assert np.array_equal(run([], wav, tmp_path), wav)


@pytest.mark.parametrize("frames", [1, 5_000])
def test_silence_stays_exact_silence(tmp_path: Path, frames: int) -> None:
    assert not run(VOICE_CHAIN, np.zeros((2, frames), np.float32), tmp_path).any()


def test_linear_steps_with_look_ahead_keep_time(tmp_path: Path) -> None:
    wav = np.zeros((1, 20_000), np.float32)
    wav[:, 9_999] = 1.0

    restored = run([STEPS["spectral_subtraction"], NoiseGate(), PeakNormalize()], wav, tmp_path)

    assert int(np.argmax(np.abs(restored[0]))) == 9_999


def test_voice_chain_lowers_rumble_and_hiss_in_the_pauses_and_keeps_the_voice(tmp_path: Path) -> None:
    wav = speech_like(4 * RATE)

    restored = run(VOICE_CHAIN, wav, tmp_path)

    # Pauses fill the second third of a second, and so on; their middles, and the middles of the bursts:
    pauses = np.concatenate([restored[0, s : s + 2_000] for s in range(7_000, 4 * RATE, 2 * RATE // 3)][:4])
    bursts = np.concatenate([restored[0, s : s + 2_000] for s in range(1_700, 4 * RATE, 2 * RATE // 3)][:4])
    assert 20 * np.log10(pauses.std() / bursts.std()) < -55
    assert np.abs(restored).max() == pytest.approx(0.99, abs=1e-6)


def test_at_most_two_scratch_files_exist_and_one_stays(tmp_path: Path) -> None:
    most = 0

    def source() -> Iterator[FloatArray]:
        for _ in range(3):
            yield speech_like(5_000)

    def scratch(name: str) -> Path:
        nonlocal most
        most = max(most, len(list(tmp_path.iterdir())) + 1)
        return tmp_path / name

    stream = run_chain(VOICE_CHAIN, source, sample_rate=RATE, channels=1, scratch=scratch)

    assert most == 2
    assert len(list(tmp_path.iterdir())) == 1
    assert sum(block.shape[-1] for block in stream()) == 15_000


def test_result_can_be_streamed_twice(tmp_path: Path) -> None:
    wav = speech_like(5_000)
    stream = run_chain(
        VOICE_CHAIN, lambda: iter([wav]), sample_rate=RATE, channels=1, scratch=lambda name: tmp_path / name
    )

    assert np.array_equal(np.concatenate(list(stream()), axis=-1), np.concatenate(list(stream()), axis=-1))


def test_filter_chain_alone_needs_no_scratch_file(tmp_path: Path) -> None:
    run([HighPass(), LowPass()], sine(400.0, RATE), tmp_path)

    assert list(tmp_path.iterdir()) == []

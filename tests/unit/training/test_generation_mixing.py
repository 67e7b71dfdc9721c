"""Examples for generators: degraded input, dry target, silence, levels, two rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.training.test_mixing import make_pool
from training.corpus import Pools
from training.datasets import AudioPool
from training.generation.mixing import GenerationMixer
from training.generation.recipe import DegradationSection
from training.recipe import MixSection

PLAIN = {"untouched": 0.0, "impulse_response": 0.0, "noise": 0.0, "codec": 0.0, "silence": 0.0}


def pools(*, factor: int = 1) -> Pools:
    impulse = np.zeros(600, np.int16)
    impulse[[100, 500]] = [16384, -8192]  # what comes before the direct sound is to be cut off
    return {
        "speech": make_pool(factor * 20_000, factor * 30_000),
        "noise": make_pool(5_000, 40_000, seed=1),
        "rir": AudioPool(impulse, [(0, 600)]),
    }


def make_mixer(*, sample_rate: int = 16_000, mix: dict[str, Any] | None = None, **degradation: Any) -> GenerationMixer:  # noqa: ANN401
    factor = sample_rate // 16_000
    settings = {"segment_samples": factor * 8192, **(mix or {})}
    return GenerationMixer(
        pools(factor=factor),
        pools(),
        MixSection(**settings),
        DegradationSection(**{**PLAIN, **degradation}),
        sample_rate=sample_rate,
        seed=3,
    )


def examples(count: int = 20, **settings: Any) -> list[Any]:  # noqa: ANN401
    mixer = make_mixer(**settings)
    return [mixer.example(index) for index in range(count)]


def test_example_of_an_index_is_always_the_same() -> None:
    everything = {"impulse_response": 1.0, "noise": 1.0, "codec": 1.0, "silence": 0.5}

    first, again = (make_mixer(**everything).example(7) for _ in range(2))

    np.testing.assert_array_equal(first.noisy, again.noisy)
    np.testing.assert_array_equal(first.clean, again.clean)


def test_untouched_example_is_its_own_target() -> None:
    for example in examples(untouched=1.0, noise=1.0, impulse_response=1.0, codec=1.0):
        np.testing.assert_array_equal(example.noisy, example.clean)


def test_input_and_target_are_each_brought_to_their_own_peak() -> None:
    for example in examples(noise=1.0, impulse_response=1.0):
        assert np.abs(example.noisy).max() == pytest.approx(1, abs=1e-5)
        assert np.abs(example.clean).max() == pytest.approx(1, abs=1e-5)


def test_shared_level_keeps_the_target_inside_the_input() -> None:
    for example in examples(level="shared", noise=1.0, mix={"snr_db": (5.0, 5.0)}):
        noise = example.noisy - example.clean

        assert 10 * np.log10(np.mean(example.clean**2) / np.mean(noise**2)) == pytest.approx(5.0, abs=0.05)
        assert np.abs(example.noisy).max() <= 1 + 1e-6


def test_room_is_in_the_input_and_not_in_the_target_and_delays_neither() -> None:
    for example in examples(4, level="shared", impulse_response=1.0, microphone=0.0):
        room = np.zeros(401)
        room[[0, 400]] = [1, -0.5]

        expected = np.convolve(example.clean, room)[: len(example.clean)]

        np.testing.assert_allclose(example.noisy, expected, atol=1e-3 * np.abs(expected).max())


def test_microphone_colours_the_input() -> None:
    changes = [
        np.abs(np.fft.rfft(example.noisy)).sum() / np.abs(np.fft.rfft(example.clean)).sum()
        for example in examples(level="shared", impulse_response=1.0, microphone=1.0)
    ]

    assert np.std(changes) > 0.02


def test_order_of_the_degradations_varies() -> None:
    mixer = make_mixer(impulse_response=1.0, microphone=0.0, noise=1.0, codec=1.0)
    orders = set()
    for index in range(30):
        chain = mixer.draw_degradations(np.random.default_rng(index), snr_db=5.0)
        orders.add(tuple(getattr(step, "func", step).__name__ for step in chain))

    assert len(orders) == 6


def test_silence_at_the_ends_is_silence_in_the_target() -> None:
    shares = [np.mean(example.clean == 0) for example in examples(60, silence=1.0, all_silent=0.0)]

    assert max(shares) <= 0.7 + 1e-3
    assert np.mean(shares) == pytest.approx(0.35, abs=0.08)


def test_where_nobody_speaks_the_input_is_noise_or_silence() -> None:
    found = examples(60, silence=1.0, all_silent=1.0, noise=1.0)

    assert not any(example.clean.any() for example in found)
    noisy = [example for example in found if example.noisy.any()]
    assert 15 < len(noisy) < 45
    assert all(np.abs(example.noisy).max() == pytest.approx(1, abs=1e-5) for example in noisy)


def test_target_at_48_khz_is_three_times_as_long_and_says_the_same() -> None:
    for example in examples(6, sample_rate=48_000):
        assert example.noisy.shape == (8192,)
        assert example.clean.shape == (3 * 8192,)
        below_8_khz = np.fft.irfft(np.fft.rfft(example.clean)[:4097], 8192)
        assert np.corrcoef(below_8_khz, example.noisy)[0, 1] > 0.95


def test_parts_of_a_batch_make_up_the_batch() -> None:
    mixer = make_mixer(noise=1.0)

    whole, _ = mixer.batch(2, 4)
    parts = [mixer.batch(2, 4, rank=rank, ranks=2)[0] for rank in range(2)]

    np.testing.assert_array_equal(whole[0::2], parts[0])
    np.testing.assert_array_equal(whole[1::2], parts[1])

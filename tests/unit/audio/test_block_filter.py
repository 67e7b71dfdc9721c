"""Filtering by matrix products against the recursion that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from core.audio.block_filter import BLOCK_SAMPLES, BlockFilter, state_space
from core.audio.loudness import k_weighting
from core.audio.types import FloatArray


def noise(frames: int, *, channels: int = 2, offset: float = 0.0) -> FloatArray:
    samples = np.random.default_rng(0).standard_normal((channels, frames))
    return (0.1 * samples + offset).astype(np.float32)


def error_db(actual: FloatArray, expected: np.ndarray) -> float:
    return float(10 * np.log10(np.square(actual - expected).sum() / np.square(expected).sum()))


@pytest.mark.parametrize("sample_rate", [4_000, 8_000, 44_100, 48_000, 192_000])
def test_k_weighting_is_that_of_the_recursion_even_beside_an_offset(sample_rate: int) -> None:
    wav, sections = noise(BLOCK_SAMPLES * 2_000, offset=0.3), k_weighting(sample_rate)

    filtered = BlockFilter(sections, 2).process(wav)

    assert error_db(filtered, sosfilt(sections, wav.astype(np.float64))) < -115


@pytest.mark.parametrize("order", [2, 4, 12])
def test_sections_of_any_number_follow_one_another(order: int) -> None:
    wav, sections = noise(BLOCK_SAMPLES * 100), butter(order, 3_000, fs=48_000, output="sos")

    filtered = BlockFilter(sections, 2).process(wav)

    assert error_db(filtered, sosfilt(sections, wav.astype(np.float64))) < -115


@pytest.mark.parametrize("blocks", [1, 3, 50])
def test_state_is_carried_from_piece_to_piece(blocks: int) -> None:
    wav, sections = noise(BLOCK_SAMPLES * 100), k_weighting(48_000)
    whole, pieces = BlockFilter(sections, 2), BlockFilter(sections, 2)
    step = blocks * BLOCK_SAMPLES

    parts = [pieces.process(wav[:, start : start + step]) for start in range(0, wav.shape[1], step)]

    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole.process(wav), atol=1e-6)


def test_nothing_in_is_nothing_out() -> None:
    assert BlockFilter(k_weighting(48_000), 2).process(noise(0)).shape == (2, 0)


def test_what_is_no_whole_block_is_refused() -> None:
    with pytest.raises(ValueError, match="65 samples are not whole blocks of 64"):
        BlockFilter(k_weighting(48_000), 2).process(noise(BLOCK_SAMPLES + 1))


def test_state_space_answers_an_impulse_like_the_sections() -> None:
    sections = butter(6, 1_000, fs=48_000, output="sos")
    a, b, c, d = state_space(sections)

    response = [d, *(c @ np.linalg.matrix_power(a, delay) @ b for delay in range(30))]

    np.testing.assert_allclose(response, sosfilt(sections, np.eye(1, 31)[0]), atol=1e-12)

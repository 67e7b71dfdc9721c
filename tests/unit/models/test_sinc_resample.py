"""The factor-two resampler against published taps, impulse responses, an independent convolution and physics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.models.sinc_resample import (
    HISTORY_SAMPLES,
    ROW_SAMPLES,
    downsample2,
    half_sample_kernel,
    interpolate_half_sample,
    upsample2,
)

LENGTHS = (1, 2, 55, 56, 57, 111, 112, ROW_SAMPLES, ROW_SAMPLES + 1, 1000, 4097)


def unit_impulse(position: int, length: int = 200) -> torch.Tensor:
    wav = torch.zeros(length)
    wav[position] = 1.0
    return wav


def noise(length: int, *, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(2, length, generator=torch.Generator().manual_seed(length), dtype=dtype)


def test_kernel_has_the_published_taps() -> None:
    kernel = half_sample_kernel(torch.float64)

    assert kernel.shape == (112,)
    assert kernel[:2].tolist() == pytest.approx([-1.128109e-06, 1.033336e-05], abs=1e-9)
    assert kernel[54:58].tolist() == pytest.approx([-0.2118311, 0.6364945, 0.6364945, -0.2118311], abs=1e-7)
    assert float(kernel.sum()) == pytest.approx(1.0, abs=1e-4)


def test_upsampled_impulse_has_the_published_values() -> None:
    up = upsample2(unit_impulse(100))

    assert up.shape == (400,)
    assert up[[199, 200, 201]].tolist() == pytest.approx([0.6364945, 1.0, 0.6364945], abs=1e-6)
    assert up[[197, 203]].tolist() == pytest.approx([-0.2118311, -0.2118311], abs=1e-6)


def test_downsampled_even_impulse_is_one_half_in_one_sample() -> None:
    down = downsample2(unit_impulse(100))

    assert float(down[50]) == pytest.approx(0.5)
    assert int(torch.count_nonzero(down)) == 1


def test_downsampled_odd_impulse_has_the_published_values() -> None:
    down = downsample2(unit_impulse(101))

    assert down[[49, 50, 51, 52]].tolist() == pytest.approx([-0.1059156, 0.3182473, 0.3182473, -0.1059156], abs=1e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_matrix_form_equals_direct_convolution(length: int) -> None:
    wav = noise(length)
    kernel = half_sample_kernel(torch.float64).numpy()

    up = upsample2(wav)
    down = downsample2(wav)

    for channel in range(2):
        x = wav[channel].numpy()
        between = np.convolve(x, kernel)[56 : 56 + length]
        assert np.abs(up[channel, ::2].numpy() - x).max() == 0.0
        assert np.abs(up[channel, 1::2].numpy() - between).max() < 1e-12
        even, odd = np.append(x, 0.0)[: length + length % 2].reshape(-1, 2).T
        shifted = np.convolve(odd, kernel)[55 : 55 + len(odd)]
        assert np.abs(down[channel].numpy() - 0.5 * (even + shifted)).max() < 1e-12


@pytest.mark.parametrize("length", [*LENGTHS, 0])
def test_lengths_double_and_halve_rounding_up(length: int) -> None:
    wav = noise(length)

    assert upsample2(wav).shape == (2, 2 * length)
    assert downsample2(wav).shape == (2, (length + 1) // 2)


def test_interpolation_needs_its_history() -> None:
    assert interpolate_half_sample(noise(HISTORY_SAMPLES)).shape == (2, 0)
    assert interpolate_half_sample(noise(HISTORY_SAMPLES + 1)).shape == (2, 1)


def test_up_then_down_restores_the_interior_of_band_limited_noise() -> None:
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(4000))
    spectrum[1000:] = 0.0  # the lower half of the band, where the filter is flat
    wav = torch.from_numpy(np.fft.irfft(spectrum))

    error = (downsample2(upsample2(wav)) - wav)[200:-200].abs().max()

    assert float(error) < 5e-6 * float(wav.abs().max())


def test_sine_keeps_level_and_phase_when_upsampled() -> None:
    t = torch.arange(4000, dtype=torch.float64)
    up = upsample2(torch.sin(0.3 * t))
    expected = torch.sin(0.15 * torch.arange(8000, dtype=torch.float64))

    assert float((up - expected)[200:-200].abs().max()) < 1e-5


def test_result_can_be_differentiated_after_use_in_inference_mode() -> None:
    with torch.inference_mode():
        upsample2(torch.zeros(1, 300, dtype=torch.float32))
    wav = torch.randn(1, 300, requires_grad=True)

    (gradient,) = torch.autograd.grad(upsample2(wav).square().sum(), wav)

    assert bool(torch.isfinite(gradient).all())

"""The small generator: it starts as its denoiser, adds where there was nothing, and keeps silence silent."""

from __future__ import annotations

import pytest
import torch

from core.models.band_split_generator import BandSplitGenerator, add_compressed
from core.models.band_split_lstm import compress

DENOISER = {"width": 8, "hidden": 8, "blocks": 1}


def make_generator() -> BandSplitGenerator:
    torch.manual_seed(0)
    return BandSplitGenerator(denoiser=DENOISER, width=12, hidden=8, blocks=1).eval()


def noise(samples: int = 8000) -> torch.Tensor:
    return 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_untrained_generator_passes_what_its_denoiser_gives() -> None:
    generator = make_generator()

    difference = generator(noise()) - generator.denoiser(noise())

    assert difference.abs().max() < 1e-4 * generator.denoiser(noise()).abs().max()


@pytest.mark.parametrize("samples", [1, 511, 8000])
@torch.no_grad()
def test_any_length_is_kept(samples: int) -> None:
    assert make_generator()(noise(samples)).shape == (1, samples)


@torch.no_grad()
def test_silence_stays_silent_whatever_was_learned() -> None:
    generator = make_generator()
    for layer in generator.additive_decoder.layers:
        torch.nn.init.constant_(layer.bias, 0.5)

    assert generator(noise()).abs().max() > 0.1
    assert not generator(torch.zeros(1, 8000)).any()


def test_adding_in_the_compressed_domain_is_what_it_says() -> None:
    spectrum = torch.randn(1, 5, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    added = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(3))

    result = add_compressed(spectrum, added)

    torch.testing.assert_close(compress(result[:, :-1]), compress(spectrum[:, :-1]) + added, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result[:, -1], spectrum[:, -1])


def test_gradient_is_finite_where_the_denoiser_left_nothing() -> None:
    generator = make_generator()
    wav = torch.cat((noise(), torch.zeros(1, 4000)), dim=1)

    generator(wav).square().sum().backward()

    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name

"""FINALLY's networks against the sizes and golden values of their specification."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from core.models.finally_speech.blocks import MultiScaleUnet
from core.models.finally_speech.discriminator import SCALES_16K, MultiScaleDiscriminator
from core.models.finally_speech.generator import FinallyGenerator, GeneratorSizes
from core.models.finally_speech.masking import SpectralMaskNet, make_skip
from core.models.finally_speech.mel import LogMel, mel_to_linear
from core.models.finally_speech.spectral_unet import SpectralUnet
from core.models.finally_speech.upsampling import HifiUpsampler

WEIGHT, BIAS = 0.01, 0.02
TINY = GeneratorSizes(
    spectral_widths=(2, 4),
    spectral_depth=1,
    post_depth=1,
    channels=32,
    wave_widths=(4, 4),
    wave_depth=1,
    mask_widths=(2, 4),
    mask_depth=1,
)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def filled(module: nn.Module) -> nn.Module:
    """The module with every effective convolution weight 0.01 and every bias 0.02."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d):
                layer.weight = torch.full_like(layer.weight, WEIGHT)
                assert layer.bias is not None
                layer.bias.fill_(BIAS)
    return module


@pytest.fixture(scope="module")
def wave() -> Tensor:
    """0.3 sin(0.05 n) + 0.1 sin(0.31 n + 1), n < 4096."""
    n = torch.arange(4096, dtype=torch.float64)
    return (0.3 * torch.sin(0.05 * n) + 0.1 * torch.sin(0.31 * n + 1)).float()


def test_log_mel_meets_its_golden_values(wave: Tensor) -> None:
    mel = LogMel()(wave.unsqueeze(0))[0]

    assert mel.shape == (80, 16)
    figures = [float(figure) for figure in (mel.mean(), mel[0, 0], mel[5, 8], mel[40, 8], mel[79, 15])]
    assert figures == pytest.approx([-8.65402, -0.299582, -5.64063, -11.5129, -9.45046], rel=1e-4)


def test_mel_to_linear_matrix_meets_its_checks() -> None:
    matrix = mel_to_linear()

    assert matrix.shape == (513, 80)
    assert matrix.sum() == pytest.approx(510.5)
    assert matrix[10].sum() == pytest.approx(1)
    assert [int(matrix[row].argmax()) for row in (1, 10, 100, 400)] == [0, 3, 37, 74]


@torch.no_grad()
def test_spectral_unet_meets_its_golden_values(wave: Tensor) -> None:
    network = filled(SpectralUnet((4, 8, 16), depth=2, out_channels=8))

    output = network(LogMel()(wave.unsqueeze(0)))[0]

    assert count(network) == 55_164
    figures = [float(figure) for figure in (output.mean(), *(output[:, frame].mean() for frame in (0, 8, 15)))]
    assert figures == pytest.approx([0.124283, 0.126164, 0.123774, 0.125718], rel=1e-4)


@torch.no_grad()
def test_hifi_upsampler_meets_its_golden_values() -> None:
    network = filled(HifiUpsampler(8, initial_channels=32))

    output = network(torch.sin(0.3 * torch.arange(128.0)).reshape(1, 8, 16))[0]

    assert output.shape == (2, 4096)
    figures = [float(figure) for figure in (output.mean(), output[0, 0], output[0, 2000], output[0, 4095])]
    assert figures == pytest.approx([0.127519, 0.0912904, 0.130837, 0.091368], rel=1e-4)


@torch.no_grad()
def test_wave_unet_meets_its_golden_values(wave: Tensor) -> None:
    network = filled(MultiScaleUnet((4, 8, 16), depth=2, scale=4, in_channels=2, out_channels=2, dimensions=1))

    output = network(wave[:2048].reshape(1, 2, 1024))[0]

    figures = [float(figure) for figure in (output.mean(), output[0, 0], output[1, 500], output[0, 1023])]
    assert figures == pytest.approx([0.024772, 0.0229027, 0.0248428, 0.0229499], rel=1e-4)


@torch.no_grad()
def test_spectral_mask_net_meets_its_golden_values(wave: Tensor) -> None:
    network = filled(SpectralMaskNet(2, widths=(4, 8, 16, 32), depth=2))

    output = network(torch.stack((wave, wave.flip(0))).unsqueeze(0))[0]

    figures = [float(figure) for figure in (output.mean(), output[0, 0], output[0, 2000], output[1, 4095])]
    assert figures == pytest.approx([0.00264466, 0.0803021, -0.178172, 0.0654331], rel=1e-4)


def test_components_have_their_published_sizes() -> None:
    with torch.device("meta"):
        network = FinallyGenerator()

    assert {name: count(child) for name, child in network.named_children()} == {
        "log_mel": 0,
        "spectral_unet": 4_503_508,
        "post_processing": 50_354_176,
        "pre_upsampler": 33_048_576,
        "upsampler": 13_911_328,
        "join_input": 1_120,
        "wave_unet": 10_330_176,
        "wave_skip": 1_088,
        "mask_net": 16_714_432,
        "mask_skip": 1_088,
        "upsample_wave_unet": 15_531_840,
        "last": 226,
    }


def test_generator_for_16_khz_has_its_published_size() -> None:
    with torch.device("meta"):
        assert count(FinallyGenerator(output_rate=16000)) == 128_865_718


@pytest.mark.parametrize(("output_rate", "factor"), [(16000, 1), (48000, 3)])
@torch.no_grad()
def test_output_is_as_long_as_the_input_at_its_rate(output_rate: int, factor: int) -> None:
    network = FinallyGenerator(feature_width=4, output_rate=output_rate, sizes=TINY)  # type: ignore[arg-type]
    wav = torch.randn(2, 1, 1024, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)

    output = network(wav, torch.zeros(2, 4, 12))

    assert output.shape == (2, 1, factor * 1024)
    assert output.abs().max() <= 1


def test_a_length_that_does_not_divide_is_refused() -> None:
    network = FinallyGenerator(feature_width=4, output_rate=16000, sizes=TINY)

    with pytest.raises(ValueError, match="multiple of 1024"):
        network(torch.zeros(1, 1, 1000), torch.zeros(1, 4, 3))


def test_a_mask_of_ones_leaves_the_signal_as_it_is(wave: Tensor) -> None:
    network = SpectralMaskNet(1, widths=(2, 4), depth=1)
    with torch.no_grad():
        state = dict(network.unet.last.named_parameters())
        state["parametrizations.weight.original0"].zero_()  # the gain of its weights
        state["bias"].fill_(float(torch.log(torch.expm1(torch.tensor(1.0)))))  # softplus of it is 1

        output = network(wave.reshape(1, 1, -1))

    assert torch.allclose(output.flatten(), wave, atol=1e-5)


def test_discriminators_have_their_published_sizes_and_shapes() -> None:
    with torch.device("meta"):
        assert count(MultiScaleDiscriminator()) == 1_866_250
        assert count(MultiScaleDiscriminator(SCALES_16K)) == 1_866_250
        judgements = MultiScaleDiscriminator()(torch.zeros(1, 1, 196_608))

    shapes = [tuple(judgement.logits.shape[2:]) for judgement in judgements]
    assert shapes == [(189, 257), (381, 129), (765, 65), (1533, 33), (3069, 17)]
    assert [feature_map.shape[-1] for feature_map in judgements[2].maps] == [513, 257, 129, 65, 65]


def test_skip_is_a_convolution_of_one_sample() -> None:
    assert count(make_skip()) == 1_088

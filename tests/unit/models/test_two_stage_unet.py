"""The two-stage U-Net: parameter counts, golden values of the original code, geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from core.models.frame_stft import FrameStft
from core.models.two_stage_unet import VARIANTS, TwoStageUNet, pad_symmetric

BINS = 1025


@pytest.fixture(scope="module")
def network() -> TwoStageUNet:
    torch.manual_seed(0)
    return TwoStageUNet(**VARIANTS["film"]).eval()


def fill_like_the_original(network: TwoStageUNet) -> None:
    """Give tensor k in the original's order 0.05 sin(0.37 i + 0.91 k), i counting in TensorFlow's layout."""
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            values = 0.05 * np.sin(0.37 * np.arange(parameter.numel()) + 0.91 * number)
            if parameter.ndim == 4:
                values = values.reshape(parameter.permute(2, 3, 1, 0).shape).transpose(3, 2, 0, 1)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def fill_with_constants(network: TwoStageUNet) -> None:
    """Give kernels 0.5 / (height * width * third TensorFlow axis), biases 0.02."""
    with torch.no_grad():
        for parameter in network.parameters():
            # The third axis of a kernel in TensorFlow is the second one here, for transposed convolutions as well.
            parameter.fill_(0.5 / math.prod(parameter.shape[1:]) if parameter.ndim == 4 else 0.02)


@pytest.fixture(scope="module")
def golden_estimates() -> dict[int, tuple[Tensor, Tensor]]:
    """Both stages' outputs by number of frames, of the network filled like the original."""
    network = TwoStageUNet(**VARIANTS["film"]).eval()
    fill_like_the_original(network)
    with torch.inference_mode():
        return {frames: network.estimates(sine_spectrogram(frames)) for frames in (21, 22)}


def sine_spectrogram(frames: int) -> Tensor:
    values = np.sin(0.01 * np.arange(frames * BINS * 2)).reshape(1, frames, BINS, 2)
    return torch.from_numpy(values.astype(np.float32)).permute(0, 3, 1, 2)


def test_film_configuration_has_the_published_number_of_parameters(network: TwoStageUNet) -> None:
    parameters = list(network.parameters())

    assert sum(parameter.numel() for parameter in parameters) == 1_880_388
    assert len(parameters) == 100


def test_original_configuration_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        network = TwoStageUNet(**VARIANTS["original"])

    assert sum(parameter.numel() for parameter in network.parameters()) == 71_408_196


def test_parts_of_a_stage_have_the_published_sizes(network: TwoStageUNet) -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    unet = network.stage1.unet
    assert count(network.stage1.stem) == 18_848
    assert [count(encoder.down) for encoder in unet.encoder] == [32_832, 65_600, 131_200]
    assert [count(encoder.block) for encoder in unet.encoder] == [10_304, 41_088, 41_088]
    assert count(unet.bottleneck) == 164_096
    assert [count(decoder.up) for decoder in unet.decoder] == [32_800, 65_600, 131_136]
    assert [None if decoder.proj is None else count(decoder.proj) for decoder in unet.decoder] == [2_080, None, 8_256]
    assert [count(decoder.block) for decoder in unet.decoder] == [20_544, 82_048, 82_048]
    assert count(network.stage2.unet.encoder[0].block) == 20_544
    assert count(network.sam) == 10_434
    assert count(network.head) == 578


@pytest.mark.parametrize(
    ("frames", "stage", "mean", "std", "first", "last", "middle"),
    [
        (21, 0, 0.02785627, 0.7084628, 0.0343075, -0.0950094, 0.988001),
        (21, 1, -0.04238843, 0.03730557, -0.05157, -0.0408879, 0.0258201),
        (22, 0, 0.02504696, 0.7085954, 0.0343074, -0.960679, 0.988001),
        (22, 1, -0.04224191, 0.03616822, -0.0515699, -0.0355961, 0.0258202),
    ],
)
def test_stages_equal_the_original_code(
    golden_estimates: dict[int, tuple[Tensor, Tensor]],
    frames: int,
    stage: int,
    mean: float,
    std: float,
    first: float,
    last: float,
    middle: float,
) -> None:
    estimate = golden_estimates[frames][stage]

    found = [estimate.mean(), estimate.std(unbiased=False)]
    found += [estimate[0, 0, 0, 0], estimate[0, 1, -1, -1], estimate[0, 0, 10, 512]]
    assert [float(value) for value in found] == pytest.approx([mean, std, first, last, middle], abs=1e-4)


def test_constant_weights_give_the_means_of_the_original_code() -> None:
    network = TwoStageUNet(**VARIANTS["film"]).eval()
    fill_with_constants(network)

    with torch.inference_mode():
        first, second = network.estimates(sine_spectrogram(21))

    assert float(first.mean()) == pytest.approx(0.1036999, abs=1e-4)
    assert float(second.mean()) == pytest.approx(0.1285705, abs=1e-4)


def test_stft_equals_the_original_code() -> None:
    n = np.arange(44_100)
    wav = torch.from_numpy((0.3 * np.sin(0.05 * n) + 0.1 * np.sin(0.31 * n + 1)).astype(np.float32))
    stft = FrameStft()

    padded = torch.nn.functional.pad(wav, (0, 86 * 512 + 2048 - 44_100))
    spectrogram = stft(padded[None])[0]

    assert spectrogram.shape == (2, 87, BINS)
    assert spectrogram[:, 0, 16].tolist() == pytest.approx([124.48239, -91.73895], abs=1e-3)
    assert spectrogram[:, 40, 100].tolist() == pytest.approx([15.200855, -15.292934], abs=1e-4)
    assert float(spectrogram.norm(dim=0).mean()) == pytest.approx(0.4521572, abs=1e-5)


def test_inverse_stft_gives_the_signal_back_but_for_its_edges() -> None:
    stft = FrameStft()
    wav = torch.randn(2, 512 * 20 + 2048, generator=torch.Generator().manual_seed(0))

    again = stft.inverse(stft(wav))

    inside = slice(stft.edge_samples, -stft.edge_samples)
    torch.testing.assert_close(again[:, inside], wav[:, inside], atol=1e-5, rtol=0)
    assert float((again[:, :512] / wav[:, :512]).median()) < 0.1  # one frame of four: faded in


def test_symmetric_padding_repeats_the_edge_and_puts_the_odd_value_first() -> None:
    features = torch.arange(1.0, 5.0).reshape(1, 1, 1, 4).expand(1, 1, 2, 4)

    padded = pad_symmetric(features, kernel_size=4, axes=(-1,))

    assert padded[0, 0, 0].tolist() == [2, 1, 1, 2, 3, 4, 4]
    assert pad_symmetric(features, kernel_size=7, axes=(-1,))[0, 0, 0].tolist() == [3, 2, 1, 1, 2, 3, 4, 4, 3, 2]


def test_stem_equals_a_convolution_over_the_encoded_input(network: TwoStageUNet) -> None:
    stem = network.stage1.stem
    spectrogram = torch.randn(1, 2, 9, BINS, generator=torch.Generator().manual_seed(1))
    position = torch.pi * torch.arange(BINS) / 1024
    encoding = torch.stack([torch.cos(2**octave * position) for octave in range(10)])
    encoded = torch.cat((spectrogram, encoding[None, :, None].expand(1, 10, 9, BINS)), dim=1)

    with torch.inference_mode():
        whole = torch.nn.functional.conv2d(pad_symmetric(encoded, kernel_size=7), stem.weight, stem.bias)

        torch.testing.assert_close(stem(spectrogram), torch.nn.functional.elu(whole), atol=1e-4, rtol=0)


@pytest.mark.parametrize("samples", [1, 512, 5_000])
def test_waveform_keeps_its_length(network: TwoStageUNet, samples: int) -> None:
    with torch.inference_mode():
        assert network(torch.zeros(1, samples)).shape == (1, samples)


def test_depth_beyond_the_widths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"depth 7 must be 1\.\.6"):
        TwoStageUNet(depth=7)


def test_recording_shorter_than_a_kernel_is_refused_by_the_padding() -> None:
    with pytest.raises(ValueError, match="axis of 2"):
        pad_symmetric(torch.zeros(1, 1, 2, 9), kernel_size=7)

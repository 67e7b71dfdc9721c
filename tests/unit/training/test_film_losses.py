"""The combined loss of film recipes: MAE of both stages, multi-resolution STFT, loudness; and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import InvalidOptions
from core.models.two_stage_unet import TwoStageUNet
from training.losses.combined import build_loss
from training.losses.loudness import loudness_loss, specific_loudness
from training.losses.multi_resolution_stft import multi_resolution_stft_loss
from training.losses.stages import StageLoss, spectrum_mae

SAMPLE_RATE = 44_100


@pytest.fixture
def network() -> TwoStageUNet:
    torch.manual_seed(0)
    return TwoStageUNet(widths=(4, 4, 4, 4)).eval()


def noise(samples: int = 16_384, *, seed: int = 0, level: float = 0.05) -> Tensor:
    return level * torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))


def sine(frequency_hz: float, amplitude: float, samples: int = 16_384) -> Tensor:
    return amplitude * torch.sin(2 * torch.pi * frequency_hz * torch.arange(samples) / SAMPLE_RATE)[None]


def test_stage_mae_is_the_sum_of_both_stages_errors_in_real_and_imaginary_parts(network: TwoStageUNet) -> None:
    noisy, clean = noise(), noise(seed=1)

    with torch.inference_mode():
        loss = StageLoss(weight=1.0).of_network(network, noisy, clean)
        target = network.stft(clean)
        first, second = network.estimates(network.stft(noisy))

    assert noisy.shape[1] // 512 - 3 == target.shape[2]  # whole frames alone: training does not pad
    expected = sum(np.abs(stage.numpy() - target.numpy()).mean() for stage in (first, second))
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_further_losses_are_taken_on_the_waveform_of_the_last_stage(network: TwoStageUNet) -> None:
    noisy, clean = noise(), noise(seed=1)

    with torch.inference_mode():
        alone = StageLoss(weight=1.0).of_network(network, noisy, clean)
        combined = StageLoss(weight=1.0, further=lambda estimate, clean: (estimate - clean).square().mean())
        both = combined.of_network(network, noisy, clean)
        estimate = network(noisy)

    inside = slice(1536, -1536)  # what fewer than four frames cover is left out, at either end of the segment
    assert float(both - alone) == pytest.approx(float((estimate - clean)[:, inside].square().mean()), rel=1e-3)


def test_recipe_losses_are_summed_with_their_weights(network: TwoStageUNet) -> None:
    noisy, clean = noise(), noise(seed=1)
    loss = build_loss({"stage_mae": 2.0, "multi_resolution_stft": 0.5, "loudness": 3.0}, sample_rate=SAMPLE_RATE)

    expected = (
        2.0 * spectrum_mae(network.stft(noisy), network.stft(clean))
        + 0.5 * multi_resolution_stft_loss(noisy, clean)
        + 3.0 * loudness_loss(noisy, clean, sample_rate=SAMPLE_RATE)
    )

    assert float(loss(noisy, clean)) == pytest.approx(float(expected), rel=1e-5)


def test_perfect_estimate_has_no_loss() -> None:
    clean = noise()
    loss = build_loss({"stage_mae": 1.0, "multi_resolution_stft": 0.1, "loudness": 1.0}, sample_rate=SAMPLE_RATE)

    assert float(loss(clean, clean)) == pytest.approx(0, abs=1e-6)


def test_gradient_reaches_every_parameter_of_both_stages(network: TwoStageUNet) -> None:
    loss = build_loss({"stage_mae": 1.0, "loudness": 1.0}, sample_rate=SAMPLE_RATE)
    assert isinstance(loss, StageLoss)

    torch.autograd.backward(loss.of_network(network, noise(), noise(seed=1)))

    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_network_without_stages_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="Linear has none"):
        StageLoss(weight=1.0).of_network(nn.Linear(2, 2), noise(), noise())


def test_losses_of_speech_rate_are_refused_at_another() -> None:
    with pytest.raises(InvalidOptions, match=r"disturbance.*16000 Hz.*44100 Hz"):
        build_loss({"disturbance": 1.0}, sample_rate=SAMPLE_RATE)


def test_loudness_doubles_for_ten_decibels_and_is_none_below_hearing() -> None:
    def loudness(amplitude: float) -> float:
        return float(specific_loudness(sine(1000, amplitude), sample_rate=SAMPLE_RATE)[..., 4:-4].amax())

    assert loudness(1e-6) == 0  # -20 dB SPL
    assert loudness(0.1) / loudness(0.0316) == pytest.approx(10**0.23, rel=0.05)


def test_same_noise_counts_more_where_nothing_masks_it() -> None:
    hiss = noise(level=1e-3)
    programme = noise(seed=1, level=0.1)
    silence = torch.zeros_like(hiss)

    in_silence = loudness_loss(hiss, silence, sample_rate=SAMPLE_RATE)
    in_programme = loudness_loss(programme + hiss, programme, sample_rate=SAMPLE_RATE)

    assert float(in_silence) > 5 * float(in_programme)


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 44_100, 48_000])
def test_loudness_has_bands_at_every_rate(sample_rate: int) -> None:
    loudness = specific_loudness(noise(level=0.3), sample_rate=sample_rate)

    assert loudness.shape[1] == 64
    assert loudness.isfinite().all()
    assert (loudness.mean(dim=(0, 2)) > 0).all()

"""The losses after ESTOI, PESQ and DNSMOS: they agree with the measures, and they count what ears notice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from training import metrics
from training.losses.combined import Loss
from training.losses.disturbance import disturbance_loss
from training.losses.intelligibility import estoi_loss
from training.losses.mos_lqo import mos_lqo, mos_lqo_loss
from training.losses.opinion import installed_network, opinion_loss

SAMPLE_RATE = 16000
LENGTH = 2 * SAMPLE_RATE


def speechlike(seed: int = 0) -> Tensor:
    """Return (1, T): noise with a falling spectrum in syllables of 4 Hz, with a pause at the end."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(LENGTH))
    frequencies_hz = np.fft.rfftfreq(LENGTH, 1 / SAMPLE_RATE)
    carrier = np.fft.irfft(spectrum / (1 + frequencies_hz / 500), LENGTH)
    time_s = np.arange(LENGTH) / SAMPLE_RATE
    syllables = np.sin(2 * np.pi * 2 * time_s + rng.uniform(0, 6)) ** 2 * (time_s < 1.6)
    speech = carrier * syllables
    return torch.from_numpy(0.1 * speech / speech.std()).float().unsqueeze(0)


def white_noise(level: float) -> Tensor:
    return level * torch.randn(1, LENGTH, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("loss", [estoi_loss, disturbance_loss], ids=["estoi", "disturbance"])
def test_equal_signals_lose_nothing_and_more_noise_loses_more(loss: Loss) -> None:
    speech = speechlike()

    losses = [float(loss(speech + white_noise(level), speech)) for level in (0.0, 0.003, 0.03, 0.3)]

    assert losses[0] == pytest.approx(0, abs=1e-3)
    assert losses == sorted(losses)
    assert losses[-1] > 10 * losses[1] or losses[-1] > 0.5


def test_estoi_loss_follows_the_measure() -> None:
    speech = speechlike()
    noises = [white_noise(level) for level in (0.01, 0.05, 0.2)]

    ours = [1 - float(estoi_loss(speech + noise, speech)) for noise in noises]
    measured = [metrics.stoi((speech + noise)[0].numpy(), speech[0].numpy(), extended=True) for noise in noises]

    assert ours == pytest.approx(measured, abs=0.06)


def test_estoi_loss_ignores_the_level() -> None:
    noisy, speech = speechlike() + white_noise(0.05), speechlike()

    assert float(estoi_loss(0.25 * noisy, speech)) == pytest.approx(float(estoi_loss(noisy, speech)), abs=1e-3)


def test_estoi_loss_of_silence_is_zero_and_finite_in_its_gradient() -> None:
    estimate = white_noise(0.01).requires_grad_()

    loss = estoi_loss(estimate, torch.zeros(1, LENGTH))
    loss.backward()

    assert loss.item() == 0
    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()


def test_added_noise_disturbs_more_than_speech_lost_by_as_much() -> None:
    speech = speechlike()

    added, lost = disturbance_loss(2 * speech, speech), disturbance_loss(speech, 2 * speech)

    assert float(added) > 1.3 * float(lost)


def test_what_lies_below_the_threshold_of_hearing_does_not_disturb() -> None:
    speech = speechlike()
    time_s = torch.arange(LENGTH) / SAMPLE_RATE
    tone = torch.sin(2 * torch.pi * 7800 * time_s).unsqueeze(0)

    inaudible, audible = (float(disturbance_loss(speech + level * tone, speech)) for level in (1e-5, 1e-2))

    assert inaudible < 1e-3
    assert audible > 0.1


@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_disturbance_does_not_depend_on_the_level_of_the_pair(gain: float) -> None:
    noisy, speech = speechlike() + white_noise(0.02), speechlike()

    assert float(disturbance_loss(gain * noisy, gain * speech)) == pytest.approx(
        float(disturbance_loss(noisy, speech)), rel=1e-3
    )


def test_disturbance_gradient_is_finite_for_silence() -> None:
    estimate = torch.zeros(2, LENGTH, requires_grad=True)

    disturbance_loss(estimate, torch.cat((speechlike(), torch.zeros(1, LENGTH)))).backward()

    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_mos_lqo_follows_wide_band_pesq(seed: int) -> None:
    speech = speechlike(seed)
    noisy = [speech + white_noise(level) for level in (0.001, 0.003, 0.01, 0.03, 0.1)]

    ours = [float(mos_lqo(wav, speech)) for wav in noisy]
    measured = [metrics.pesq_wideband(wav[0].numpy(), speech[0].numpy()) for wav in noisy]

    assert ours == sorted(ours, reverse=True)
    assert ours == pytest.approx(measured, abs=0.8)


def test_mos_lqo_of_equal_signals_is_the_best_score_at_any_level() -> None:
    speech = speechlike()

    scores = torch.cat([mos_lqo(0.01 * speech, speech), mos_lqo(speech, speech)])

    assert scores.tolist() == pytest.approx([4.64, 4.64], abs=0.01)


def test_mos_lqo_gradient_is_finite_for_silence_and_for_less_than_a_split() -> None:
    estimate = torch.zeros(2, 4000, requires_grad=True)

    mos_lqo_loss(estimate, torch.cat((speechlike()[:, :4000], torch.zeros(1, 4000)))).backward()

    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()
    assert estimate.grad[1].abs().sum() == 0  # nothing is asked of what accompanies no speech


@pytest.mark.parametrize("waves", [1, 2])
def test_opinion_loss_teaches_the_waves_that_are_to_be_heard(waves: int) -> None:
    estimate = (speechlike() + white_noise(0.01)).repeat(3, 1).requires_grad_()

    loss = opinion_loss(estimate, speechlike().repeat(3, 1), waves=waves)
    loss.backward()

    assert 0 < loss.item() < 4
    assert estimate.grad is not None
    assert [bool(gradient.any()) for gradient in estimate.grad] == [index < waves for index in range(3)]
    assert not any(parameter.requires_grad for parameter in installed_network(torch.device("cpu")).parameters())

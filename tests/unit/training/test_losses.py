"""Losses against golden values, closed forms and the properties they were chosen for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.errors import InvalidOptions
from training.losses import multi_resolution_stft
from training.losses.combined import LOSSES, build_loss
from training.losses.multi_resolution_stft import multi_resolution_stft_loss, multi_resolution_stft_terms
from training.losses.spectral import compressed_magnitude_loss, compressed_spectrum_loss, magnitude_l1_loss
from training.losses.waveform import l1_loss, si_sdr_db, si_sdr_loss, snr_loss


def golden_signals() -> tuple[Tensor, Tensor]:
    n = torch.arange(8000, dtype=torch.float64)
    estimate = 0.3 * torch.sin(0.05 * n) + 0.1 * torch.sin(0.31 * n + 1)
    clean = 0.25 * torch.sin(0.05 * n + 0.1) + 0.12 * torch.sin(0.45 * n)
    return estimate.float().unsqueeze(0), clean.float().unsqueeze(0)


def tone(frequency_hz: float, *, amplitude: float = 1.0, samples: int = 16000) -> Tensor:
    time_s = torch.arange(samples, dtype=torch.float64) / 16000
    return (amplitude * torch.sin(2 * math.pi * frequency_hz * time_s)).float().unsqueeze(0)


@pytest.mark.parametrize(
    ("resolution", "convergence", "log_distance"),
    [
        ((1024, 120, 600), 0.589707, 0.588563),
        ((2048, 240, 1200), 0.589783, 0.592094),
        ((512, 50, 240), 0.588595, 0.633429),
    ],
)
def test_each_stft_resolution_meets_its_golden_value(
    monkeypatch: pytest.MonkeyPatch, resolution: tuple[int, int, int], convergence: float, log_distance: float
) -> None:
    monkeypatch.setattr(multi_resolution_stft, "RESOLUTIONS", (resolution,))

    terms = multi_resolution_stft_terms(*golden_signals())

    assert [float(term) for term in terms] == pytest.approx([convergence, log_distance], rel=1e-4)


def test_multi_resolution_stft_terms_meet_their_golden_means() -> None:
    terms = multi_resolution_stft_terms(*golden_signals())

    assert [float(term) for term in terms] == pytest.approx([0.589362, 0.604695], rel=1e-4)
    assert float(multi_resolution_stft_loss(*golden_signals())) == pytest.approx(0.589362 + 0.604695, rel=1e-4)


def test_l1_loss_meets_its_golden_value() -> None:
    assert float(l1_loss(*golden_signals())) == pytest.approx(0.096302, rel=1e-4)


@pytest.mark.parametrize("expected_db", [-5.0, 0.0, 12.0])
def test_si_sdr_of_an_orthogonal_error_is_its_energy_ratio(expected_db: float) -> None:
    clean = tone(500)
    error = tone(1500, amplitude=10 ** (-expected_db / 20))

    assert float(si_sdr_db(clean + error, clean)) == pytest.approx(expected_db, abs=1e-3)


def test_si_sdr_ignores_level_and_offset_but_snr_does_not() -> None:
    clean, estimate = tone(500), tone(500) + tone(1500, amplitude=0.1)

    assert float(si_sdr_loss(0.5 * estimate + 0.2, clean)) == pytest.approx(
        float(si_sdr_loss(estimate, clean)), abs=0.01
    )
    assert float(snr_loss(0.5 * estimate, clean)) > float(snr_loss(estimate, clean)) + 10


def test_snr_loss_is_the_negative_snr_until_it_levels_off_at_30_db() -> None:
    clean = tone(500)

    assert float(snr_loss(clean + tone(1500, amplitude=0.1), clean)) == pytest.approx(-20, abs=0.5)
    assert float(snr_loss(clean, clean)) == pytest.approx(-30, abs=0.01)


def test_compressed_loss_counts_errors_above_2_khz_double() -> None:
    silence = torch.zeros(1, 16000)
    fade = torch.hann_window(16000)  # keeps the tones from leaking into the other band

    low = float(compressed_magnitude_loss(fade * tone(1000), silence))
    high = float(compressed_magnitude_loss(fade * tone(4000), silence))

    assert high / low == pytest.approx(2.0, rel=0.02)


def test_magnitude_losses_do_not_see_polarity_but_the_complex_one_does() -> None:
    clean = tone(500)

    assert float(magnitude_l1_loss(-clean, clean)) == 0
    assert float(compressed_magnitude_loss(-clean, clean)) == 0
    assert float(compressed_spectrum_loss(-clean, clean)) > 0.01


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_is_lowest_at_the_clean_signal_and_has_a_finite_gradient(name: str) -> None:
    clean = tone(500, amplitude=0.1) * (tone(3) > 0)
    estimate = (clean + tone(1500, amplitude=0.02)).requires_grad_()

    loss = LOSSES[name](estimate, clean)
    torch.autograd.backward(loss)

    assert float(loss.detach()) > float(LOSSES[name](clean, clean))
    assert estimate.grad is not None
    assert bool(estimate.grad.isfinite().all())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradient_is_finite_for_silent_estimates(name: str) -> None:
    estimate = torch.zeros(1, 16000, requires_grad=True)

    torch.autograd.backward(LOSSES[name](estimate, tone(500, amplitude=0.1)))

    assert estimate.grad is not None
    assert bool(estimate.grad.isfinite().all())


def test_combined_loss_is_the_weighted_sum() -> None:
    estimate, clean = golden_signals()

    combined = build_loss({"l1": 0.5, "si_sdr": 0.5, "multi_resolution_stft": 0.1})(estimate, clean)

    expected = (
        0.5 * l1_loss(estimate, clean)
        + 0.5 * si_sdr_loss(estimate, clean)
        + 0.1 * multi_resolution_stft_loss(estimate, clean)
    )
    assert float(combined) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("weights", [{}, {"l3": 1.0}])
def test_unknown_or_no_losses_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(InvalidOptions, match="known are l1"):
        build_loss(weights)

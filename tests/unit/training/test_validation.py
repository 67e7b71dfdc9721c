"""The guards: over-denoising, idleness and level drift are seen and said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.losses.waveform import l1_loss
from training.mixing import Example
from training.validation import ValidationReport, validate


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, noisy: Tensor) -> Tensor:
        return self.factor * noisy


class MeanOfNeighbours(nn.Module):
    """Averages nine samples: takes away what changes fast."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.full((1, 1, 9), 1 / 9))

    def forward(self, noisy: Tensor) -> Tensor:
        return nn.functional.conv1d(noisy.unsqueeze(1), self.kernel, padding=4).squeeze(1)


@pytest.fixture
def examples() -> list[Example]:
    rng = np.random.default_rng(0)
    time_s = np.arange(16000) / 16000
    clean = (0.2 * np.sin(2 * np.pi * 150 * time_s) * (np.sin(2 * np.pi * 3 * time_s) > 0)).astype(np.float32)
    noise = (0.05 * rng.standard_normal(16000)).astype(np.float32)
    return [Example(noisy=clean + noise, clean=clean, snr_db=6.0)]


def test_network_that_does_nothing_is_called_idle(examples: list[Example]) -> None:
    report = validate(Scale(1.0), examples, l1_loss)

    assert report.si_sdr_gain_db == pytest.approx(0, abs=1e-6)
    assert [warning.partition(":")[0] for warning in report.warnings] == ["does next to nothing"]


def test_network_that_removes_speech_is_called_over_denoising(examples: list[Example]) -> None:
    report = validate(Scale(0.1), examples, l1_loss)

    assert report.level_change_db == pytest.approx(-20, abs=0.5)
    assert report.clean_residual_db == pytest.approx(20 * np.log10(0.9), abs=0.01)
    assert report.residual_correlation > 0.8
    assert any(warning.startswith("over-denoises") for warning in report.warnings)
    assert any(warning.startswith("changes the level of speech by -20") for warning in report.warnings)


def test_network_that_removes_noise_alone_passes_the_guards(examples: list[Example]) -> None:
    report = validate(MeanOfNeighbours(), examples, l1_loss)

    assert report.si_sdr_gain_db > 5
    assert report.warnings == ()


def test_validation_leaves_the_network_in_its_mode(examples: list[Example]) -> None:
    network = Scale(1.0).train()

    validate(network, examples, l1_loss)

    assert network.training


def make_report(**figures: float) -> ValidationReport:
    good = {
        "loss": 0.1, "pesq": 2.83, "estoi": 0.8, "si_sdr_db": 10.0, "si_sdr_gain_db": 5.0, "level_change_db": 0.0,
        "clean_residual_db": -20.0, "residual_correlation": 0.0, "lsd_db": 5.0, "lsd_gain_db": 2.0,
    }  # fmt: skip
    return ValidationReport(**good | figures)


def test_perceptual_score_is_the_mean_of_three_measures_brought_to_one_scale() -> None:
    assert make_report().perceptual_score == pytest.approx((0.5 + 0.8 + 0.5) / 3)
    assert make_report(pesq=4.64, estoi=1.0, si_sdr_db=35.0).perceptual_score == pytest.approx(1.0)


def test_every_score_is_higher_for_the_better_network() -> None:
    better = make_report(loss=0.05, pesq=3.0, estoi=0.9, si_sdr_db=12.0)

    for name in ("loss", "pesq", "estoi", "si_sdr_db", "perceptual_score"):
        assert better.score(name) > make_report().score(name)

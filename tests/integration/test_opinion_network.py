"""The opinion loss hears what DNSMOS's own package hears."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from speechmos import dnsmos

from training.losses.opinion import installed_network

SAMPLE_RATE = 16000
PACKAGE_SAMPLES = 144_160  # what the package hears at once


@pytest.mark.parametrize("noise", [0.001, 0.03])
def test_opinion_is_that_of_the_package(noise: float) -> None:
    rng = np.random.default_rng(3)
    time_s = np.arange(PACKAGE_SAMPLES) / SAMPLE_RATE
    harmonics = sum(np.sin(2 * np.pi * 140 * k * time_s) / k for k in range(1, 20))
    syllables = np.sin(2 * np.pi * 2 * time_s) ** 2
    wav = (0.05 * harmonics * syllables + noise * rng.standard_normal(PACKAGE_SAMPLES)).astype(np.float32)

    ours = installed_network(torch.device("cpu"))(torch.from_numpy(wav).unsqueeze(0))[0].tolist()
    measured = dnsmos.run(wav, sr=SAMPLE_RATE)

    assert ours == pytest.approx([measured[name] for name in ("sig_mos", "bak_mos", "ovrl_mos")], abs=2e-3)

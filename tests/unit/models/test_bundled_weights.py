"""The weights that ship with Limpid: they verify, state where they come from, and do what they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.enhancement.mask_cnn import MaskCnnEnhancer
from core.enhancement.protocol import FloatArray, SignalStatistics
from core.models.checkpoints import BUNDLED_WEIGHTS, bundled_checkpoint, load_checkpoint

BUNDLED = sorted(path.stem for path in BUNDLED_WEIGHTS.glob("*.safetensors"))


def voiced(samples: int = 32_000) -> FloatArray:
    """Harmonics of 120 Hz below a falling spectrum, switched on and off three times a second."""
    time_s = np.arange(samples) / 16_000
    wav = sum(np.sin(2 * np.pi * 120 * k * time_s) / k for k in range(1, 25))
    gate = np.clip(4 * np.sin(2 * np.pi * 3 * time_s), 0, 1)
    return (0.1 * wav * gate).astype(np.float32)[np.newaxis]


def statistics_of(wav: FloatArray) -> SignalStatistics:
    return SignalStatistics(
        samples=wav.shape[1], mean=float(wav.mean()), std=float(wav.std(ddof=1)), peak=float(np.abs(wav).max())
    )


def snr_db(estimate: FloatArray, clean: FloatArray) -> float:
    return float(10 * np.log10(np.sum(clean**2) / np.sum((estimate - clean) ** 2)))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_weights_verify_and_carry_card_and_attribution(name: str) -> None:
    card, state = load_checkpoint(bundled_checkpoint(name))

    text = (BUNDLED_WEIGHTS / f"{name}.md").read_text(encoding="utf-8")
    assert card.name == name
    assert state
    assert card.licence in text
    assert "ATTRIBUTION.md" in text
    for attribution in ("ATTRIBUTION.md", "ATTRIBUTION_ESC10.md"):
        assert Path(BUNDLED_WEIGHTS / attribution).is_file()


def test_cnn_mask_lowers_hiss_and_keeps_what_is_voiced() -> None:
    enhancer = MaskCnnEnhancer.from_checkpoint(bundled_checkpoint("cnn-mask"))
    clean = voiced()
    noisy = clean + (0.02 * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)

    of_noisy = enhancer.enhance(noisy, 16_000, statistics=statistics_of(noisy))[0]
    of_clean = enhancer.enhance(clean, 16_000, statistics=statistics_of(clean))[0]

    assert snr_db(of_noisy, clean) > snr_db(noisy, clean) + 3
    assert snr_db(of_clean, clean) > 12

"""The weights that ship with Limpid: they verify, state where they come from, and do what they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.enhancement.loader import load_enhancer
from core.enhancement.protocol import FloatArray, SignalStatistics
from core.models.checkpoints import BUNDLED_WEIGHTS, bundled_checkpoint, load_checkpoint

BUNDLED = sorted(path.stem for path in BUNDLED_WEIGHTS.glob("*.safetensors"))


def voiced(samples: int = 32_000) -> FloatArray:
    """Harmonics of 120 Hz below a falling spectrum, switched on and off three times a second."""
    time_s = np.arange(samples) / 16_000
    wav = sum(np.sin(2 * np.pi * 120 * k * time_s) / k for k in range(1, 25))
    gate = np.clip(4 * np.sin(2 * np.pi * 3 * time_s), 0, 1)
    return np.asarray(0.1 * wav * gate, dtype=np.float32)[np.newaxis]


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


def enhance(name: str, wav: FloatArray, models_dir: Path) -> FloatArray:
    estimate = load_enhancer(name, models_dir=models_dir).enhance(wav, 16_000, statistics=statistics_of(wav))
    first: FloatArray = estimate[0]
    return first


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_model_lowers_hiss(name: str, tmp_path: Path) -> None:
    clean = voiced()
    noisy = clean + (0.02 * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)

    assert snr_db(enhance(name, noisy, tmp_path), clean) > snr_db(noisy, clean) + 3


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_model_passes_clean_input_at_its_level_and_time(name: str, tmp_path: Path) -> None:
    clean = voiced()

    estimate = enhance(name, clean, tmp_path)

    assert snr_db(estimate, clean) > 12
    assert 20 * np.log10(np.std(estimate) / np.std(clean)) == pytest.approx(0, abs=1.5)
    correlation = np.correlate(estimate[0], clean[0, 200:-200], mode="valid")
    assert np.argmax(correlation) == 200

"""The weights that ship with Limpid: they verify, state where they come from, and do what they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.audio.segments import split_segments
from core.enhancement.drift import DriftLimits, find_drift
from core.enhancement.loader import load_enhancer
from core.enhancement.protocol import Enhancer, FloatArray, SignalStatistics, WatchedEnhancer
from core.model_catalogue import MODELS
from core.models.checkpoints import BUNDLED_WEIGHTS, bundled_checkpoint, load_checkpoint

BUNDLED = sorted(path.stem for path in BUNDLED_WEIGHTS.glob("*.safetensors"))
GENERATIVE = [name for name in BUNDLED if MODELS[name].guarded_by is not None]


def voiced(sample_rate: int, *, seconds: float = 2.0) -> FloatArray:
    """Harmonics of 120 Hz below a falling spectrum, switched on and off three times a second."""
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
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


def enhance(enhancer: Enhancer, wav: FloatArray) -> FloatArray:
    estimate = enhancer.enhance(wav, enhancer.info.sample_rate, statistics=statistics_of(wav))
    first: FloatArray = estimate[0]
    return first


@pytest.fixture(scope="module", params=[name for name in BUNDLED if name not in GENERATIVE])
def enhancer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Enhancer:
    return load_enhancer(request.param, models_dir=tmp_path_factory.mktemp("models"))


def test_bundled_model_lowers_hiss(enhancer: Enhancer) -> None:
    clean = voiced(enhancer.info.sample_rate)
    noisy = clean + (0.02 * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)

    assert snr_db(enhance(enhancer, noisy), clean) > snr_db(noisy, clean) + 3


def test_bundled_model_passes_clean_input_at_its_level_and_time(enhancer: Enhancer) -> None:
    clean = voiced(enhancer.info.sample_rate)

    estimate = enhance(enhancer, clean)

    assert snr_db(estimate, clean) > 12
    assert 20 * np.log10(np.std(estimate) / np.std(clean)) == pytest.approx(0, abs=1.5)
    correlation = np.correlate(estimate[0], clean[0, 200:-200], mode="valid")
    assert np.argmax(correlation) == 200


@pytest.fixture(scope="module", params=GENERATIVE)
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WatchedEnhancer:
    guarded = load_enhancer(request.param, models_dir=tmp_path_factory.mktemp("models"))
    assert isinstance(guarded, WatchedEnhancer)
    return guarded


@pytest.mark.parametrize("hiss", [0.0, 0.02])
def test_generative_model_says_what_was_said_when_it_was_said(generator: WatchedEnhancer, hiss: float) -> None:
    clean = voiced(generator.info.sample_rate)
    noise = (hiss * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)
    generator.begin_recording()
    generator.begin_segment(next(split_segments(clean.shape[1], generator.info.segment)))

    estimate = enhance(generator, clean + noise)

    assert generator.warnings == ()  # the guard had nothing to replace
    peak = float(np.abs(clean).max())
    assert not find_drift(estimate[0], clean[0], generator.info.sample_rate, peak=peak, limits=DriftLimits())
    assert 20 * np.log10(np.std(estimate) / np.std(clean)) == pytest.approx(0, abs=3)
    correlation = np.correlate(estimate[0], clean[0, 200:-200], mode="valid")
    assert np.argmax(correlation) == 200


def test_generative_model_leaves_less_hiss_in_pauses(generator: WatchedEnhancer) -> None:
    clean = voiced(generator.info.sample_rate)
    noise = (0.02 * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)
    pauses = clean == 0
    generator.begin_recording()
    generator.begin_segment(next(split_segments(clean.shape[1], generator.info.segment)))

    estimate = enhance(generator, clean + noise)

    assert np.std(estimate[pauses]) < 0.25 * np.std(noise[pauses])

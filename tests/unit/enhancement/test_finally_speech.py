"""FINALLY's engine around small generators: rate, level, silence, alignment."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.audio.segments import SegmentPlan
from core.enhancement.finally_speech import FinallyEnhancer
from core.enhancement.protocol import FloatArray, SignalStatistics
from core.errors import ModelUnavailable
from core.models.checkpoints import CheckpointCard
from core.models.finally_speech.features import MelFeatures, WavLmFeatures, load_features
from core.models.finally_speech.generator import FinallyGenerator, GeneratorSizes

SIZES = GeneratorSizes(
    spectral_widths=(2, 4),
    spectral_depth=1,
    post_depth=1,
    channels=16,
    wave_widths=(4, 4),
    wave_depth=1,
    mask_widths=(2, 4),
    mask_depth=1,
)


class Interpolation(FinallyGenerator):
    """Raises the rate three times and remembers what it was given, instead of generating."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.feature_width = MelFeatures.width
        self.heard: list[Tensor] = []
        self.frames: list[int] = []

    def forward(self, wav: Tensor, features: Tensor) -> Tensor:
        self.heard.append(wav)
        self.frames.append(features.shape[-1])
        return torch.fft.irfft(torch.fft.rfft(wav), n=3 * wav.shape[-1]) * 3


class StandInModel(nn.Module):
    """Has WavLM's interface: states (B, frames, 6) at 50 Hz."""

    config = SimpleNamespace(hidden_size=6)

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Conv1d(1, 6, 400, stride=320)

    def forward(self, wav: Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.encode(wav.unsqueeze(1)).transpose(1, 2))


def card(sample_rate: int) -> CheckpointCard:
    return CheckpointCard(
        name="random", architecture="finally", arguments={}, sample_rate=sample_rate, licence="none", run_id="test"
    )


def tone(samples: int, *, sample_rate: int) -> FloatArray:
    """700 Hz (1, T) that rises and falls."""
    time = np.arange(samples) / sample_rate
    swell = np.sin(np.pi * np.arange(samples) / max(samples, 1)) ** 2
    return (0.3 * swell * np.sin(2 * np.pi * 700 * time)).astype(np.float32)[np.newaxis]


def statistics_of(wav: FloatArray, *, peak: float | None = None) -> SignalStatistics:
    return SignalStatistics(
        samples=wav.shape[1], mean=0.0, std=0.1, peak=float(np.abs(wav).max(initial=0)) if peak is None else peak
    )


@pytest.fixture
def interpolation() -> Interpolation:
    return Interpolation()


@pytest.fixture
def engine(interpolation: Interpolation) -> FinallyEnhancer:
    return FinallyEnhancer(interpolation, card(48_000), features=MelFeatures())


def test_segments_are_8_192_s_with_half_a_second_of_context(engine: FinallyEnhancer) -> None:
    assert engine.info.sample_rate == 48_000
    assert engine.info.segment == SegmentPlan(
        segment_samples=393_216, context_samples=24_576, crossfade_samples=24_576, grid_samples=3_072
    )


@pytest.mark.parametrize("samples", [30_000, 3_072, 3_001])
def test_output_stands_where_the_input_stood_at_its_level(engine: FinallyEnhancer, samples: int) -> None:
    wav = tone(samples, sample_rate=48_000)

    estimate = engine.enhance(wav, 48_000, statistics=statistics_of(wav))

    assert estimate.shape == (1, 1, samples)
    assert np.abs(estimate[0] - wav).max() < 1e-3


def test_generator_hears_16_khz_scaled_by_the_peak_of_the_whole_recording(
    engine: FinallyEnhancer, interpolation: Interpolation
) -> None:
    wav = tone(6_144, sample_rate=48_000)

    engine.enhance(wav, 48_000, statistics=statistics_of(wav, peak=0.6))

    (heard,) = interpolation.heard
    assert heard.shape == (1, 1, 2_048)
    assert interpolation.frames == [8]
    assert float(heard.abs().max()) == pytest.approx(0.5, abs=0.01)


def test_a_silent_segment_is_silent_and_never_reaches_the_generator(
    engine: FinallyEnhancer, interpolation: Interpolation
) -> None:
    hiss = 1e-5 * tone(6_144, sample_rate=48_000)

    assert not engine.enhance(hiss, 48_000, statistics=statistics_of(hiss, peak=0.5)).any()
    assert not engine.enhance(0 * hiss, 48_000, statistics=statistics_of(0 * hiss)).any()
    assert interpolation.heard == []


def test_empty_input_gives_empty_output(engine: FinallyEnhancer) -> None:
    assert engine.enhance(np.zeros((1, 0), np.float32), 48_000, statistics=statistics_of(np.zeros((1, 1)))).shape == (
        1,
        1,
        0,
    )


def test_random_generator_for_16_khz_repeats_itself_exactly() -> None:
    torch.manual_seed(0)
    network = FinallyGenerator(feature_width=MelFeatures.width, output_rate=16000, sizes=SIZES)
    engine = FinallyEnhancer(network, card(16_000), features=MelFeatures())
    wav = tone(2_000, sample_rate=16_000)

    first, second = (engine.enhance(wav, 16_000, statistics=statistics_of(wav), seed=seed) for seed in (0, 1))

    assert first.shape == (1, 1, 2_000)
    assert np.array_equal(first, second)
    assert 0 < np.abs(first).max() <= np.abs(wav).max()


def test_features_of_another_width_are_refused(interpolation: Interpolation) -> None:
    with pytest.raises(ModelUnavailable, match="features of width 80, those given have 6"):
        FinallyEnhancer(interpolation, card(48_000), features=WavLmFeatures(StandInModel()))


def test_another_rate_is_refused(engine: FinallyEnhancer) -> None:
    with pytest.raises(ValueError, match="48000 Hz"):
        engine.enhance(np.zeros((1, 800), np.float32), 16_000, statistics=statistics_of(np.zeros((1, 1))))


@pytest.mark.parametrize(("samples", "frames"), [(16_384, 50), (400, 1), (100, 1)])
def test_wavlm_features_are_frozen_states_with_time_last(samples: int, frames: int) -> None:
    features = WavLmFeatures(StandInModel())

    states = features(torch.ones(2, samples))

    assert states.shape == (2, 6, frames)
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_missing_wavlm_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"FINALLY needs (WavLM: put config\.json|the package transformers)"):
        load_features(tmp_path)

"""The engine of the two-stage U-Net: segments equal the whole, joins have no dips, strength and residual add up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.audio.segments import SegmentJoiner, split_segments
from core.enhancement.protocol import FloatArray, SignalStatistics
from core.enhancement.two_stage_unet import EXACT_CONTEXT_FRAMES, TwoStageUNetEnhancer, plan_segments
from core.models.checkpoints import CheckpointCard
from core.models.two_stage_unet import VARIANTS, TwoStageUNet

SAMPLE_RATE = 44_100
CARD = CheckpointCard(
    name="random",
    architecture="two-stage-unet",
    arguments={},
    sample_rate=SAMPLE_RATE,
    licence="Apache-2.0",
    run_id="test",
    reference_level_db=-26.0,
)
CROSSFADE_FRAMES = 16  # half of 2048 samples at the small hop; the cross-fade lies inside the context
NARROW = {"widths": (4, 4, 4, 4), "n_fft": 256, "hop_length": 64}
"""A small network with the geometry of the real one: a grid of eight frames, kernels and strides alike."""


@pytest.fixture(scope="module")
def network() -> TwoStageUNet:
    """A random network whose deep levels matter: with fewer channels the weights have to be larger."""
    torch.manual_seed(0)
    network = TwoStageUNet(**NARROW).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(5)
    return network


def difference_db(found: FloatArray, expected: FloatArray) -> float:
    return float(20 * np.log10(np.std(found - expected) / np.std(expected)))


class PassThrough(TwoStageUNet):
    """Gives back what it is given, by way of the STFT."""

    def estimates(self, spectrogram: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return spectrogram, spectrogram


def noise(samples: int) -> FloatArray:
    return (np.random.default_rng(0).standard_normal((1, samples)) * 0.05).astype(np.float32)


def statistics_of(wav: FloatArray) -> SignalStatistics:
    return SignalStatistics(
        samples=wav.shape[1], mean=float(wav.mean()), std=float(wav.std(ddof=1)), peak=float(np.abs(wav).max())
    )


def enhance_in_segments(enhancer: TwoStageUNetEnhancer, wav: FloatArray) -> FloatArray:
    joiner = SegmentJoiner()
    statistics = statistics_of(wav)
    parts = [
        joiner.add(
            segment,
            enhancer.enhance(wav[:, segment.read_start : segment.read_stop], SAMPLE_RATE, statistics=statistics),
        )
        for segment in split_segments(wav.shape[1], enhancer.info.segment)
    ]
    return np.concatenate(parts, axis=-1)


def test_plan_of_the_film_network_is_that_of_the_measurements() -> None:
    plan = plan_segments(TwoStageUNet(**VARIANTS["film"]), sample_rate=SAMPLE_RATE)

    assert plan.grid_samples == 8 * 512
    assert plan.segment_samples == 54 * 4096  # the multiple of the grid nearest to 5 s
    assert plan.context_samples == 64 * 512
    assert plan.crossfade_samples == 2048


def test_deeper_network_has_a_wider_grid_and_context() -> None:
    plan = plan_segments(TwoStageUNet(depth=6, widths=(4,) * 7), sample_rate=SAMPLE_RATE)

    assert plan.grid_samples == 64 * 512
    assert plan.context_samples == 2 * 64 * 512
    assert all(segment.read_start % plan.grid_samples == 0 for segment in split_segments(100 * SAMPLE_RATE, plan))


def test_segments_with_the_exact_context_equal_the_whole(network: TwoStageUNet) -> None:
    enhancer = TwoStageUNetEnhancer(
        network, CARD, segment_s=0.6, context_frames=EXACT_CONTEXT_FRAMES + CROSSFADE_FRAMES
    )
    wav = noise(3 * enhancer.info.segment.segment_samples)

    whole = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))
    joined = enhance_in_segments(enhancer, wav)

    assert difference_db(joined, whole) < -110


def test_segments_with_the_default_context_differ_from_the_whole_by_less_than_60_db(network: TwoStageUNet) -> None:
    enhancer = TwoStageUNetEnhancer(network, CARD, segment_s=0.6)
    wav = noise(3 * enhancer.info.segment.segment_samples)

    whole = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))
    joined = enhance_in_segments(enhancer, wav)

    assert difference_db(joined, whole) < -60


def test_segments_off_the_grid_would_not_equal_the_whole(network: TwoStageUNet) -> None:
    enhancer = TwoStageUNetEnhancer(network, CARD)
    wav = noise(40_000)
    statistics = statistics_of(wav)

    whole = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics)
    shifted = enhancer.enhance(wav[:, 64:], SAMPLE_RATE, statistics=statistics)

    assert difference_db(shifted[..., 18_000 - 64 : 22_000 - 64], whole[..., 18_000:22_000]) > -40


def test_a_network_that_changes_nothing_leaves_no_dips_at_joins_or_ends() -> None:
    enhancer = TwoStageUNetEnhancer(PassThrough(**NARROW), CARD, segment_s=0.6)
    wav = noise(100_000)

    joined = enhance_in_segments(enhancer, wav)

    assert 20 * np.log10(np.abs(joined[0] - wav).max()) < -120


@pytest.mark.parametrize("samples", [0, 1, 700, 9_000])
def test_output_has_the_length_of_the_input(network: TwoStageUNet, samples: int) -> None:
    statistics = SignalStatistics(samples=samples, mean=0.0, std=0.05, peak=0.2)

    estimate = TwoStageUNetEnhancer(network, CARD).enhance(noise(samples), SAMPLE_RATE, statistics=statistics)

    assert estimate.shape == (1, 1, samples)


def test_silence_gives_exact_silence_although_the_network_has_biases() -> None:
    network = TwoStageUNet(**NARROW)
    torch.nn.init.constant_(network.head.bias, 0.1)
    statistics = SignalStatistics(samples=8000, mean=0.0, std=0.0, peak=0.0)

    silence = np.zeros((1, 8000), np.float32)

    assert not TwoStageUNetEnhancer(network, CARD).enhance(silence, SAMPLE_RATE, statistics=statistics).any()


def test_level_of_the_recording_passes_through(network: TwoStageUNet) -> None:
    enhancer = TwoStageUNetEnhancer(network, CARD)
    wav = noise(9_000)
    quiet = wav * np.float32(0.01)

    loud_estimate = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))
    quiet_estimate = enhancer.enhance(quiet, SAMPLE_RATE, statistics=statistics_of(quiet))

    assert difference_db(quiet_estimate, loud_estimate * np.float32(0.01)) < -100


def test_speech_rate_input_is_refused(network: TwoStageUNet) -> None:
    statistics = SignalStatistics(samples=800, mean=0.0, std=0.1, peak=0.1)

    with pytest.raises(ValueError, match="44100 Hz"):
        TwoStageUNetEnhancer(network, CARD).enhance(np.zeros((1, 800), np.float32), 16_000, statistics=statistics)

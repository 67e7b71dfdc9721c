"""The CNN mask network and its adapter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.enhancement.mask_cnn import BLOCK_FRAMES, MaskCnnEnhancer
from core.enhancement.protocol import FloatArray, SignalStatistics
from core.models.checkpoints import CheckpointCard
from core.models.mask_cnn import MaskCnn
from core.models.stft import Stft

SAMPLE_RATE = 16000


@pytest.fixture(scope="module")
def network() -> MaskCnn:
    """A narrow network with random weights whose batch normalisation has seen some spectrograms."""
    torch.manual_seed(0)
    network = MaskCnn(channels=(4, 8, 8, 4))
    with torch.no_grad():
        for _ in range(20):
            network.mask(torch.rand(2, 257, 32) * 3)
    return network.eval()


def make_enhancer(network: MaskCnn, *, reference_level_db: float | None = -26.0) -> MaskCnnEnhancer:
    card = CheckpointCard(
        name="random",
        architecture="mask-cnn",
        arguments={},
        sample_rate=SAMPLE_RATE,
        licence="Apache-2.0",
        run_id="test",
        reference_level_db=reference_level_db,
    )
    return MaskCnnEnhancer(network, card)


def noise(samples: int, *, seed: int = 0) -> FloatArray:
    return (np.random.default_rng(seed).standard_normal((1, samples)) * 0.05).astype(np.float32)


def statistics_of(wav: FloatArray) -> SignalStatistics:
    return SignalStatistics(
        samples=wav.shape[1], mean=float(wav.mean()), std=float(wav.std(ddof=1)), peak=float(np.abs(wav).max())
    )


def test_parameter_count_is_that_of_the_specification() -> None:
    assert sum(parameter.numel() for parameter in MaskCnn().parameters()) == 74_881


def test_state_dict_numbers_the_layers_as_specified() -> None:
    modules = {key.rsplit(".", 1)[0] for key in MaskCnn().state_dict()}

    assert modules == {f"layers.{index}" for index in (0, 1, 3, 4, 6, 7, 9, 10, 12)}


def test_mask_lies_between_zero_and_one_and_keeps_the_shape(network: MaskCnn) -> None:
    magnitude = torch.rand(2, 257, 64) * 100

    with torch.inference_mode():
        mask = network.mask(magnitude)

    assert mask.shape == magnitude.shape
    assert float(mask.min()) > 0
    assert float(mask.max()) < 1


@pytest.mark.parametrize("samples", [1, 256, 257, 511, 8064, 12345])
def test_mask_of_one_reconstructs_every_length(samples: int) -> None:
    stft = Stft()
    wav = torch.from_numpy(noise(samples))

    restored = stft.inverse(stft(wav), length=samples)

    assert restored.shape == wav.shape
    assert float((restored - wav).abs().max()) < 1e-5


@pytest.mark.parametrize("samples", [2560, 2561, 2700, 2814, 2815])
def test_what_a_mask_changes_is_not_amplified_at_the_ends(samples: int) -> None:
    stft = Stft(n_fft=512, hop_length=256)  # the fewest frames a sample: the last ones are reached by one window's end
    wav = torch.from_numpy(noise(samples))
    mask = torch.rand(257, stft(wav).shape[-1], generator=torch.Generator().manual_seed(0))

    masked = stft.inverse(stft(wav) * mask, length=samples)

    assert float(masked.abs().max()) < 1.5 * float(wav.abs().max())


@pytest.mark.parametrize("samples", [0, 1, 300, 16000])
def test_output_has_the_length_of_the_input(network: MaskCnn, samples: int) -> None:
    wav = noise(samples)
    statistics = SignalStatistics(samples=samples, mean=0.0, std=0.05, peak=0.2)

    assert make_enhancer(network).enhance(wav, SAMPLE_RATE, statistics=statistics).shape == (1, 1, samples)


@pytest.mark.parametrize("std", [0.0, 0.05])
def test_silence_gives_exact_silence(network: MaskCnn, std: float) -> None:
    statistics = SignalStatistics(samples=8000, mean=0.0, std=std, peak=0.0)

    estimate = make_enhancer(network).enhance(np.zeros((1, 8000), np.float32), SAMPLE_RATE, statistics=statistics)

    assert not estimate.any()


def test_blocks_of_frames_equal_the_network_run_at_once(network: MaskCnn) -> None:
    wav = noise(128 * (2 * BLOCK_FRAMES + 100))

    in_blocks = make_enhancer(network, reference_level_db=None).enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))

    with torch.inference_mode():
        at_once = network(torch.from_numpy(wav)).numpy()
    np.testing.assert_allclose(in_blocks[0], at_once, atol=1e-6)


def test_segment_with_its_context_equals_the_whole_recording(network: MaskCnn) -> None:
    enhancer = make_enhancer(network)
    plan = enhancer.info.segment
    wav = noise(60_000)
    statistics = statistics_of(wav)
    start, stop = 160 * plan.grid_samples, 320 * plan.grid_samples

    whole = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics)
    read = wav[:, start - plan.context_samples : stop + plan.context_samples]
    segment = enhancer.enhance(read, SAMPLE_RATE, statistics=statistics)

    kept = segment[..., plan.context_samples - plan.crossfade_samples : -plan.context_samples + plan.crossfade_samples]
    expected = whole[..., start - plan.crossfade_samples : stop + plan.crossfade_samples]
    np.testing.assert_allclose(kept, expected, atol=1e-6)


def test_level_of_the_recording_passes_through(network: MaskCnn) -> None:
    enhancer = make_enhancer(network)
    wav = noise(16_000)
    quiet = wav * np.float32(0.01)

    loud_estimate = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))
    quiet_estimate = enhancer.enhance(quiet, SAMPLE_RATE, statistics=statistics_of(quiet))

    np.testing.assert_allclose(quiet_estimate, loud_estimate * 0.01, atol=1e-7)


def test_progress_ends_at_one_and_never_falls(network: MaskCnn) -> None:
    seen: list[float] = []
    wav = noise(128 * (BLOCK_FRAMES + 10))

    make_enhancer(network).enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav), on_progress=seen.append)

    assert seen == sorted(seen)
    assert len(seen) == 2
    assert seen[-1] == 1.0


@pytest.mark.parametrize(("shape", "sample_rate"), [((2, 800), 16000), ((800,), 16000), ((1, 800), 48000)])
def test_other_rates_and_channel_counts_are_refused(network: MaskCnn, shape: tuple[int, ...], sample_rate: int) -> None:
    statistics = SignalStatistics(samples=800, mean=0.0, std=0.1, peak=0.1)

    with pytest.raises(ValueError, match="16000 Hz"):
        make_enhancer(network).enhance(np.zeros(shape, np.float32), sample_rate, statistics=statistics)


def test_hop_that_does_not_divide_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="hop_length"):
        Stft(n_fft=512, hop_length=200)

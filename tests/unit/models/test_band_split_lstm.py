"""The band-split LSTM network and its adapter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.audio.segments import SegmentJoiner, split_segments
from core.enhancement.band_split_lstm import BandSplitLstmEnhancer
from core.enhancement.protocol import FloatArray, SignalStatistics
from core.models import band_split_lstm
from core.models.band_split_lstm import BAND_LAYOUT, BandSplitLstm, FeedForward
from core.models.checkpoints import CheckpointCard

SAMPLE_RATE = 16000


@pytest.fixture(scope="module")
def network() -> BandSplitLstm:
    torch.manual_seed(0)
    return BandSplitLstm(width=16, hidden=8, blocks=2).eval()


@pytest.fixture
def enhancer(network: BandSplitLstm) -> BandSplitLstmEnhancer:
    card = CheckpointCard(
        name="random",
        architecture="band-split-lstm",
        arguments={},
        sample_rate=SAMPLE_RATE,
        licence="Apache-2.0",
        run_id="test",
        reference_level_db=-26.0,
    )
    return BandSplitLstmEnhancer(network, card)


def noise(samples: int, *, seed: int = 0) -> FloatArray:
    return (np.random.default_rng(seed).standard_normal((1, samples)) * 0.05).astype(np.float32)


def statistics_of(wav: FloatArray) -> SignalStatistics:
    return SignalStatistics(
        samples=wav.shape[1], mean=float(wav.mean()), std=float(wav.std(ddof=1)), peak=float(np.abs(wav).max())
    )


def test_bands_cover_every_bin_but_the_highest() -> None:
    assert sum(bands for bands, _ in BAND_LAYOUT) == 32
    assert sum(bands * bins for bands, bins in BAND_LAYOUT) == 256


@pytest.mark.parametrize(
    ("width", "feed_forward", "parameters"), [(64, 0, 317_824), (48, 0, 247_456), (48, 192, 247_456 + 2 * 18_768)]
)
def test_parameter_count(width: int, feed_forward: int, parameters: int) -> None:
    network = BandSplitLstm(width=width, hidden=32, blocks=2, feed_forward=feed_forward)

    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_feed_forward_layers_pass_their_input_until_they_are_trained(network: BandSplitLstm) -> None:
    extended = BandSplitLstm(width=16, hidden=8, blocks=2, feed_forward=32).eval()
    missing = extended.load_state_dict(network.state_dict(), strict=False).missing_keys
    wav = torch.from_numpy(noise(5000))

    with torch.inference_mode():
        torch.testing.assert_close(extended(wav), network(wav), rtol=0, atol=0)

    assert all(".feed_forward." in key for key in missing)


def test_feed_forward_layers_do_not_depend_on_how_many_rows_they_take_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = FeedForward(16, 32)
    torch.nn.init.normal_(layer.projection.weight)
    features = torch.randn(3, 5, 7, 16, generator=torch.Generator().manual_seed(0))

    whole = layer(features)
    monkeypatch.setattr(band_split_lstm, "ROWS_AT_ONCE", 11)
    with torch.inference_mode():
        parts = layer(features)

    torch.testing.assert_close(parts, whole)


def test_filter_of_an_untrained_decoder_without_weights_passes_the_signal(network: BandSplitLstm) -> None:
    passing = BandSplitLstm(width=16, hidden=8, blocks=1)
    with torch.no_grad():
        for name, parameter in passing.decoder.named_parameters():
            if name.endswith("weight"):
                parameter.zero_()
    wav = torch.from_numpy(noise(5000))

    with torch.inference_mode():
        np.testing.assert_allclose(passing(wav).numpy(), wav.numpy(), atol=1e-5)


@pytest.mark.parametrize("frames_at_once", [1, 7, 20, 1_000])
def test_filters_in_parts_are_those_of_the_whole(
    network: BandSplitLstm, monkeypatch: pytest.MonkeyPatch, frames_at_once: int
) -> None:
    monkeypatch.setattr(band_split_lstm, "FRAMES_AT_ONCE", frames_at_once)
    wav = torch.from_numpy(noise(5_000))
    whole = network(wav).detach()

    with torch.inference_mode():
        parts = network(wav)

    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)


def test_taps_reach_the_neighbouring_frames(network: BandSplitLstm) -> None:
    spectrogram = torch.arange(1.0, 5.0).repeat(1, 257, 1).to(torch.complex64)
    taps = torch.zeros(1, 3, 256, 4, dtype=torch.complex64)
    taps[:, 0] = 1.0
    taps[:, 2] = 10.0

    filtered = network.apply_filters(spectrogram, taps)

    assert filtered[0, 0].real.tolist() == [20.0, 31.0, 42.0, 3.0]
    torch.testing.assert_close(filtered[0, 256], filtered[0, 255])


def test_band_features_depend_on_their_own_bins_alone(network: BandSplitLstm) -> None:
    spectrum = torch.randn(1, 2, 256, 5)
    changed = spectrum.clone()
    changed[:, :, 64:72] += 1.0  # the first band of eight bins, the seventeenth in all

    with torch.inference_mode():
        difference = (network.encoder(changed) - network.encoder(spectrum)).abs().amax(dim=(0, 1, 3))

    assert difference.nonzero().flatten().tolist() == [16]


@pytest.mark.parametrize("samples", [0, 1, 300, 16000])
def test_output_has_the_length_of_the_input(enhancer: BandSplitLstmEnhancer, samples: int) -> None:
    statistics = SignalStatistics(samples=samples, mean=0.0, std=0.05, peak=0.2)

    assert enhancer.enhance(noise(samples), SAMPLE_RATE, statistics=statistics).shape == (1, 1, samples)


def test_silent_stretch_gives_exact_silence(enhancer: BandSplitLstmEnhancer) -> None:
    wav = noise(32_000)
    wav[:, 10_000:] = 0

    estimate = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))

    assert not estimate[..., 10_000 + 2 * 512 :].any()
    assert estimate[..., :10_000].any()


def test_silent_recording_gives_exact_silence(enhancer: BandSplitLstmEnhancer) -> None:
    statistics = SignalStatistics(samples=8000, mean=0.0, std=0.0, peak=0.0)

    assert not enhancer.enhance(np.zeros((1, 8000), np.float32), SAMPLE_RATE, statistics=statistics).any()


def test_level_of_the_recording_passes_through(enhancer: BandSplitLstmEnhancer) -> None:
    wav = noise(16_000)
    quiet = wav * np.float32(0.01)

    loud_estimate = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))
    quiet_estimate = enhancer.enhance(quiet, SAMPLE_RATE, statistics=statistics_of(quiet))

    np.testing.assert_allclose(quiet_estimate, loud_estimate * 0.01, atol=1e-7)


def test_segments_joined_differ_from_the_whole_by_less_than_60_db(enhancer: BandSplitLstmEnhancer) -> None:
    plan = replace(enhancer.info.segment, segment_samples=10 * SAMPLE_RATE)
    wav = noise(plan.segment_samples + 6 * SAMPLE_RATE)
    statistics = statistics_of(wav)
    joiner = SegmentJoiner()

    whole = enhancer.enhance(wav, SAMPLE_RATE, statistics=statistics)
    parts = []
    for segment in split_segments(wav.shape[1], plan):
        estimate = enhancer.enhance(wav[:, segment.read_start : segment.read_stop], SAMPLE_RATE, statistics=statistics)
        parts.append(joiner.add(segment, estimate))
    joined = np.concatenate(parts, axis=-1)

    assert joined.shape == whole.shape
    assert 20 * np.log10(np.std(joined - whole) / np.std(whole)) < -60


@pytest.mark.parametrize("steps", [1, 100, 1_000])
def test_sequences_run_in_parts_as_they_do_together(
    network: BandSplitLstm, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    wav = torch.from_numpy(noise(SAMPLE_RATE))
    together = network(wav).detach()
    monkeypatch.setattr(band_split_lstm, "STEPS_AT_ONCE", steps)

    with torch.no_grad():
        in_parts = network(wav)

    assert (in_parts - together).abs().max() < 1e-5 * together.abs().max()


def test_stereo_is_refused(enhancer: BandSplitLstmEnhancer) -> None:
    statistics = SignalStatistics(samples=800, mean=0.0, std=0.1, peak=0.1)

    with pytest.raises(ValueError, match="16000 Hz"):
        enhancer.enhance(np.zeros((2, 800), np.float32), SAMPLE_RATE, statistics=statistics)


def test_another_window_length_than_the_bands_cover_is_refused() -> None:
    with pytest.raises(ValueError, match="256 bins"):
        BandSplitLstm(n_fft=1024)

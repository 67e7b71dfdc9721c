"""The adapter of the causal Demucs: its contract, and segments against the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.audio.segments import overlap_add, split_segments
from core.enhancement.dns import DnsEnhancer
from core.enhancement.protocol import FloatArray, SegmentPlan, SignalStatistics
from core.errors import JobCancelled
from core.models.demucs_causal import DemucsCausal

SAMPLE_RATE = 16_000


@pytest.fixture(scope="module")
def network() -> DemucsCausal:
    torch.manual_seed(0)
    return DemucsCausal(hidden=4).eval()


@pytest.fixture(scope="module")
def engine(network: DemucsCausal) -> DnsEnhancer:
    return DnsEnhancer(network, name="dns4", licence="test", weights_sha256="ab")


def noise(samples: int, *, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((1, samples))).astype(np.float32)


def statistics_of(wav: FloatArray) -> SignalStatistics:
    return SignalStatistics(
        samples=wav.shape[1], mean=float(wav.mean()), std=float(wav.std(ddof=1)), peak=float(np.abs(wav).max())
    )


def test_engine_states_the_facts_of_the_network(engine: DnsEnhancer) -> None:
    info = engine.info

    assert (info.name, info.sample_rate, info.channels, info.stems) == ("dns4", 16_000, 1, ("enhanced",))
    assert info.weights_sha256 == "ab"


def test_segments_lie_on_the_step_grid_with_context_for_the_lstm(engine: DnsEnhancer) -> None:
    plan = engine.info.segment

    assert plan.grid_samples == 256
    assert plan.segment_samples % 256 == 0
    assert plan.context_samples % 256 == 0
    assert plan.context_samples >= 4 * SAMPLE_RATE


@pytest.mark.parametrize("samples", [1, 2, 255, 256, 597, 4001])
def test_estimate_has_the_shape_of_the_input(engine: DnsEnhancer, samples: int) -> None:
    wav = np.full((1, samples), 0.5, dtype=np.float32)
    wav[0, ::2] = -0.5
    statistics = SignalStatistics(samples=samples, mean=0.0, std=0.5, peak=0.5)

    estimate = engine.enhance(wav, SAMPLE_RATE, statistics=statistics)

    assert estimate.shape == (1, 1, samples)
    assert estimate.dtype == np.float32
    assert np.isfinite(estimate).all()


def test_silence_gives_exact_silence(engine: DnsEnhancer) -> None:
    wav = np.zeros((1, 5000), dtype=np.float32)

    estimate = engine.enhance(wav, SAMPLE_RATE, statistics=statistics_of(noise(5000)))

    assert not estimate.any()


def test_scale_comes_from_the_recording_and_not_from_the_segment(engine: DnsEnhancer, network: DemucsCausal) -> None:
    wav = noise(4000)
    with torch.inference_mode():
        expected = network(torch.from_numpy(wav), std=0.3)[0].numpy()

    estimate = engine.enhance(wav, SAMPLE_RATE, statistics=SignalStatistics(samples=9, mean=0.0, std=0.3, peak=1.0))

    assert np.abs(estimate[0] - expected).max() < 1e-6 * np.abs(expected).max() + 1e-9


def test_louder_recording_gives_an_equally_louder_estimate(engine: DnsEnhancer) -> None:
    quiet = noise(8000)
    loud = 4 * quiet

    estimates = [engine.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav)) for wav in (quiet, loud)]

    # The floor of 1e-3 on the scale attenuates a recording of 0.1 RMS by 1 %.
    assert np.allclose(estimates[1], 4 * estimates[0], atol=0.02 * np.abs(estimates[1]).max())


def test_segments_equal_the_whole_recording_at_60_db(engine: DnsEnhancer) -> None:
    wav = noise(6 * SAMPLE_RATE + 77)
    statistics = statistics_of(wav)
    whole = engine.enhance(wav, SAMPLE_RATE, statistics=statistics)
    plan = SegmentPlan(
        segment_samples=SAMPLE_RATE // 256 * 256,
        context_samples=SAMPLE_RATE // 256 * 256,
        crossfade_samples=engine.info.segment.crossfade_samples,
        grid_samples=256,
    )

    segments = list(split_segments(wav.shape[1], plan))
    estimates = [
        engine.enhance(wav[:, segment.read_start : segment.read_stop], SAMPLE_RATE, statistics=statistics)
        for segment in segments
    ]
    joined = np.concatenate(list(overlap_add(zip(segments, estimates, strict=True))), axis=-1)

    assert len(segments) >= 6
    assert joined.shape == whole.shape
    error_db = 10 * np.log10(np.square(joined - whole).sum() / np.square(whole).sum())
    assert error_db < -60


@pytest.mark.parametrize(("shape", "rate"), [((2, 100), SAMPLE_RATE), ((100,), SAMPLE_RATE), ((1, 100), 44_100)])
def test_other_rates_and_channel_counts_are_refused(engine: DnsEnhancer, shape: tuple[int, ...], rate: int) -> None:
    with pytest.raises(ValueError, match=r"dns4 takes \(1, T\) at 16000 Hz"):
        engine.enhance(np.ones(shape, dtype=np.float32), rate, statistics=statistics_of(noise(100)))


def test_progress_rises_to_one(engine: DnsEnhancer) -> None:
    heard: list[float] = []
    wav = noise(9 * SAMPLE_RATE)

    engine.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav), on_progress=heard.append)

    assert heard == pytest.approx([8 / 9, 1.0])


def test_cancelling_inside_the_callback_stops_at_that_block(engine: DnsEnhancer) -> None:
    heard: list[float] = []

    def cancel(fraction: float) -> None:
        heard.append(fraction)
        raise JobCancelled("stopped by the user")

    wav = noise(9 * SAMPLE_RATE)

    with pytest.raises(JobCancelled):
        engine.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav), on_progress=cancel)

    assert len(heard) == 1


def test_blocks_equal_the_network_over_the_whole(engine: DnsEnhancer, network: DemucsCausal) -> None:
    wav = noise(9 * SAMPLE_RATE + 123)
    statistics = statistics_of(wav)
    with torch.inference_mode():
        expected = network(torch.from_numpy(wav), std=statistics.std)[0].numpy()

    estimate = engine.enhance(wav, SAMPLE_RATE, statistics=statistics)[0]

    error_db = 10 * np.log10(np.square(estimate - expected).sum() / np.square(expected).sum())
    assert error_db < -110


def test_halved_blocks_give_the_same_until_they_are_as_short_as_is_sensible(network: DemucsCausal) -> None:
    engine = DnsEnhancer(network, name="dns4", licence="test")
    wav = noise(3 * SAMPLE_RATE)
    expected = engine.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))

    halvings = 0
    while engine.halve_batch():
        halvings += 1
    heard: list[float] = []
    estimate = engine.enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav), on_progress=heard.append)

    assert halvings == 5
    assert len(heard) == 12
    assert np.abs(estimate - expected).max() < 1e-5 * np.abs(expected).max()


def test_network_that_needs_the_end_first_is_refused() -> None:
    with pytest.raises(ValueError, match="is not causal"):
        DnsEnhancer(DemucsCausal(hidden=4, depth=3, causal=False), name="nc", licence="test")


def test_memory_that_may_not_be_written_is_read_without_a_warning(engine: DnsEnhancer) -> None:
    wav = noise(2000)
    wav.flags.writeable = False

    assert engine.enhance(wav[:, ::-1], SAMPLE_RATE, statistics=statistics_of(wav)).shape == (1, 1, 2000)

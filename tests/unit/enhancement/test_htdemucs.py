"""The demucs adapter, with randomly initialised networks of the package through the real `apply_model`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels, Model, apply_model
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.pretrained import SOURCES
from demucs.transformer import LayerScale

from core.audio.segments import overlap_add, split_segments
from core.enhancement.htdemucs import HTDemucsSeparator, count_chunks, plan_segments
from core.enhancement.protocol import FloatArray, SegmentPlan, SignalStatistics
from core.errors import InvalidOptions, JobCancelled

SAMPLE_RATE = 44_100
CHUNK_S = 0.25


def small_bag(members: int = 1, weights: list[list[float]] | None = None, *, chunk_s: float = CHUNK_S) -> BagOfModels:
    """Return a bag of very small hybrid networks, with chunks of a quarter of a second instead of forty."""
    networks: list[Model] = []
    for seed in range(members):
        torch.manual_seed(seed)
        networks.append(HDemucs(SOURCES, channels=4, depth=4, nfft=1024).eval())
    return BagOfModels(networks, weights, chunk_s)


def short_bag() -> BagOfModels:
    return small_bag(chunk_s=CHUNK_S / 2)


def transformer_bag() -> BagOfModels:
    """Return a bag of a very small hybrid transformer, which pads each chunk to its training length."""
    torch.manual_seed(0)
    network = HTDemucs(SOURCES, channels=8, t_layers=1, t_heads=2, bottom_channels=0, nfft=2048, segment=CHUNK_S)
    return BagOfModels([network.eval()])


def counting_transformer_bag() -> BagOfModels:
    """Return such a bag whose transformer counts: new ones add a ten-thousandth of what each layer computes."""
    bag = transformer_bag()
    for module in bag.modules():
        if isinstance(module, LayerScale):
            torch.nn.init.constant_(module.scale, 0.5)
    return bag


def separator(
    bag: BagOfModels, *, shifts: int = 0, overlap: float = 0.25, stems: Sequence[str] | None = None
) -> HTDemucsSeparator:
    return HTDemucsSeparator(bag, name="unittest", licence="MIT", shifts=shifts, overlap=overlap, stems=stems)


def stereo_noise(duration_s: float, *, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((2, round(duration_s * SAMPLE_RATE)))).astype(np.float32)


def statistics_of(wav: FloatArray) -> SignalStatistics:
    mono = wav.mean(axis=0)
    return SignalStatistics(
        samples=wav.shape[1], mean=float(mono.mean()), std=float(mono.std(ddof=1)), peak=float(np.abs(wav).max())
    )


@pytest.fixture(scope="module")
def bag() -> BagOfModels:
    return small_bag()


def test_engine_states_the_facts_of_the_bag(bag: BagOfModels) -> None:
    info = separator(bag).info

    assert (info.sample_rate, info.channels) == (44_100, 2)
    assert info.stems == tuple(SOURCES)


def test_stems_equal_those_of_the_package_with_its_normalisation(bag: BagOfModels) -> None:
    wav = stereo_noise(0.6)
    statistics = statistics_of(wav)
    mix = (torch.from_numpy(wav) - statistics.mean) / (statistics.std + 1e-8)
    expected = apply_model(bag, mix[None], shifts=0, overlap=0.25)[0] * (statistics.std + 1e-8) + statistics.mean

    stems = separator(bag).enhance(wav, SAMPLE_RATE, statistics=statistics)

    assert stems.dtype == np.float32
    assert stems.shape == (4, 2, wav.shape[1])
    assert np.array_equal(stems, expected.numpy())


@pytest.mark.parametrize(
    ("make_bag", "overlap", "duration_s"),
    [(short_bag, 0.0, 0.4), (short_bag, 0.25, 0.6), (short_bag, 0.75, 0.4), (transformer_bag, 0.25, 0.7)],
)
def test_segments_equal_one_pass_over_the_whole_recording(
    make_bag: Callable[[], BagOfModels], overlap: float, duration_s: float
) -> None:
    bag = make_bag()
    engine = separator(bag, overlap=overlap, stems=["vocals"])
    chunk_samples = round(float(bag.models[0].segment) * SAMPLE_RATE)
    wav = stereo_noise(duration_s)
    statistics = statistics_of(wav)
    whole = engine.enhance(wav, SAMPLE_RATE, statistics=statistics)
    plan = engine.info.segment
    short = SegmentPlan(
        segment_samples=-(-2 * chunk_samples // plan.grid_samples) * plan.grid_samples,
        context_samples=plan.context_samples,
        crossfade_samples=min(plan.crossfade_samples, SAMPLE_RATE // 100),
        grid_samples=plan.grid_samples,
    )
    segments = list(split_segments(wav.shape[1], short))

    estimates = [
        engine.enhance(wav[:, segment.read_start : segment.read_stop], SAMPLE_RATE, statistics=statistics)
        for segment in segments
    ]
    joined = np.concatenate(list(overlap_add(zip(segments, estimates, strict=True))), axis=-1)

    assert len(segments) >= 2
    assert joined.shape == whole.shape
    # Equal inside the segments; the cross-fade of equal values rounds once.
    assert np.abs(joined - whole).max() <= 2e-7 * np.abs(whole).max()


def test_fast_transformer_stays_within_60_db_of_the_package() -> None:
    wav = stereo_noise(0.5)
    statistics = statistics_of(wav)
    exact = separator(counting_transformer_bag()).enhance(wav, SAMPLE_RATE, statistics=statistics)

    bag = counting_transformer_bag()
    fast = HTDemucsSeparator(bag, name="unittest", licence="MIT", has_fast_transformer=True)
    estimate = fast.enhance(wav, SAMPLE_RATE, statistics=statistics)

    error = np.square(estimate - exact).sum()
    assert 0 < error < 1e-6 * np.square(exact).sum()


def test_separation_leaves_the_attention_s_fast_path_as_it_was(bag: BagOfModels) -> None:
    wav = stereo_noise(0.1)

    separator(bag).enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))

    assert torch.backends.mha.get_fastpath_enabled()


def test_plan_of_htdemucs_has_minutes_of_payload_and_ten_seconds_of_context() -> None:
    bag = small_bag(chunk_s=7.8)

    for overlap in (0.0, 0.1, 0.25, 0.5, 0.75):
        plan = plan_segments(bag, overlap=overlap)
        assert plan.grid_samples == int((1 - overlap) * 343_980)
        assert plan.segment_samples % plan.grid_samples == 0
        assert plan.context_samples % plan.grid_samples == 0
        assert 10 * SAMPLE_RATE <= plan.context_samples <= 20 * SAMPLE_RATE
        assert plan.segment_samples >= 4 * 60 * SAMPLE_RATE


def test_silence_gives_exact_silence(bag: BagOfModels) -> None:
    wav = np.zeros((2, 1000), dtype=np.float32)

    stems = separator(bag).enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))

    assert stems.shape == (4, 2, 1000)
    assert not stems.any()


def test_one_sample_comes_back_as_one_sample() -> None:
    wav = np.full((2, 1), 0.5, dtype=np.float32)
    statistics = SignalStatistics(samples=1, mean=0.5, std=0.0, peak=0.5)

    assert separator(transformer_bag()).enhance(wav, SAMPLE_RATE, statistics=statistics).shape == (4, 2, 1)


@pytest.mark.parametrize(("shape", "rate"), [((1, 100), SAMPLE_RATE), ((100,), SAMPLE_RATE), ((2, 100), 48_000)])
def test_other_rates_and_channel_counts_are_refused(bag: BagOfModels, shape: tuple[int, ...], rate: int) -> None:
    wav = np.ones(shape, dtype=np.float32)

    with pytest.raises(ValueError, match=r"unittest takes \(2, T\) at 44100 Hz"):
        separator(bag).enhance(wav, rate, statistics=SignalStatistics(samples=100, mean=0, std=1, peak=1))


def test_same_seed_gives_the_same_shifts_and_another_seed_others(bag: BagOfModels) -> None:
    engine = separator(bag, shifts=2, stems=["drums"])
    wav = stereo_noise(0.2)
    statistics = statistics_of(wav)

    first, again, other = (engine.enhance(wav, SAMPLE_RATE, statistics=statistics, seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_global_random_state_is_left_as_it_was(bag: BagOfModels) -> None:
    wav = stereo_noise(0.1)
    random.seed(7)
    expected = random.Random(7).random()

    separator(bag, shifts=1).enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav), seed=3)

    assert random.random() == expected


@pytest.mark.parametrize(("shifts", "duration_s"), [(0, 0.6), (3, 0.4)])
def test_progress_rises_to_one_and_never_falls(bag: BagOfModels, shifts: int, duration_s: float) -> None:
    wav = stereo_noise(duration_s)
    heard: list[float] = []

    separator(bag, shifts=shifts).enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav), on_progress=heard.append)

    assert heard == sorted(heard)
    assert heard[0] == 0.0
    assert heard[-1] == 1.0
    assert len(set(heard)) >= 3


def test_expected_chunks_are_those_that_run_without_shifts() -> None:
    bag = small_bag(members=2)
    wav = stereo_noise(0.6)
    calls: list[float] = []

    separator(bag).enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav), on_progress=calls.append)

    # A start and an end for each chunk, and the last word.
    assert len(calls) == 2 * count_chunks(bag, wav.shape[1], shifts=0, overlap=0.25) + 1
    assert calls[-2] == 1.0


def test_cancelling_inside_the_callback_stops_at_the_next_chunk(bag: BagOfModels) -> None:
    wav = stereo_noise(0.6)
    heard: list[float] = []

    def cancel_after_the_first_chunk(fraction: float) -> None:
        heard.append(fraction)
        if fraction > 0:
            raise JobCancelled("stopped by the user")

    with pytest.raises(JobCancelled):
        separator(bag).enhance(
            wav, SAMPLE_RATE, statistics=statistics_of(wav), on_progress=cancel_after_the_first_chunk
        )

    assert len(heard) == 2


def test_one_stem_of_a_one_hot_bag_runs_its_member_alone() -> None:
    one_hot = [[float(row == column) for column in range(4)] for row in range(4)]
    bag = small_bag(members=4, weights=one_hot)
    wav = stereo_noise(0.2)
    statistics = statistics_of(wav)
    all_stems = separator(bag).enhance(wav, SAMPLE_RATE, statistics=statistics)
    calls: list[float] = []

    other = separator(bag, stems=["other"]).enhance(wav, SAMPLE_RATE, statistics=statistics, on_progress=calls.append)

    assert np.array_equal(other[0], all_stems[2])
    assert len(calls) == 2 * 2 + 1  # two chunks of one member


def test_stems_come_in_the_order_in_which_they_were_asked_for(bag: BagOfModels) -> None:
    wav = stereo_noise(0.2)
    statistics = statistics_of(wav)
    all_stems = separator(bag).enhance(wav, SAMPLE_RATE, statistics=statistics)

    engine = separator(bag, stems=["vocals", "drums"])

    assert engine.info.stems == ("vocals", "drums")
    assert np.array_equal(engine.enhance(wav, SAMPLE_RATE, statistics=statistics), all_stems[[3, 0]])


@pytest.mark.parametrize("shifts", [-1, 11])
def test_shifts_out_of_range_are_refused(bag: BagOfModels, shifts: int) -> None:
    with pytest.raises(InvalidOptions, match=rf"shifts = {shifts} is not in 0\.\.10"):
        separator(bag, shifts=shifts)


@pytest.mark.parametrize("overlap", [-0.01, 0.76, float("nan")])
def test_overlap_out_of_range_is_refused(bag: BagOfModels, overlap: float) -> None:
    with pytest.raises(InvalidOptions, match=rf"overlap = {overlap} is not in 0\.\.0\.75"):
        separator(bag, overlap=overlap)


@pytest.mark.parametrize(
    ("stems", "message"),
    [
        (["vocals", "banjo"], r"unknown: banjo.*drums, bass, other, vocals"),
        ([], r"one at least"),
        (["vocals", "vocals"], r"each may be named once"),
    ],
)
def test_stems_that_the_model_lacks_are_refused(bag: BagOfModels, stems: list[str], message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        separator(bag, stems=stems)


def test_input_is_left_as_it_was_even_where_it_may_be_written(bag: BagOfModels) -> None:
    wav = stereo_noise(0.1)
    before = wav.copy()
    read_only = wav.view()
    read_only.flags.writeable = False

    from_read_only = separator(bag).enhance(read_only, SAMPLE_RATE, statistics=statistics_of(wav))
    from_writable = separator(bag).enhance(wav, SAMPLE_RATE, statistics=statistics_of(wav))

    assert np.array_equal(wav, before)
    assert np.array_equal(from_read_only, from_writable)

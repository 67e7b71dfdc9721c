"""How long a job will take: by jobs like it, else by this machine's benchmark, else by figures of another machine.

An estimate is of the processing alone, on an idle worker; a job that waits in a queue waits on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from pydantic import ValidationError

from core.errors import NotFound
from core.estimation.benchmark import Benchmark
from core.estimation.cost import relative_cost
from core.estimation.history import PastRun
from core.model_catalogue import Architecture, find_model
from core.options import EnhanceOptions

RECENT_RUNS = 20
"""Of these, at most, the median is taken."""

DEFAULT_BASE_RTF = 0.025
"""Decoding, DSP chain, report and encoding of one channel: `clean-only`, rounded up from the README."""

DEFAULT_PASS_RTF: Mapping[Architecture, float] = {
    Architecture.MASK_CNN: 0.14,  # `speech-cnn` less the base, README
    Architecture.BAND_SPLIT_LSTM: 0.02,  # `speech` less the base, README
    Architecture.TWO_STAGE_UNET: 0.6,  # the film configuration in float32 on one core; ours is narrower
    Architecture.BAND_SPLIT_GENERATOR: 0.05,  # its denoiser, a network of twice the size, and the guard's denoiser
    Architecture.FINALLY: 7.0,  # without WavLM on two cores
    Architecture.DEMUCS_CAUSAL: 0.45,  # the original implementation of dns48 on two cores: ours is faster
    Architecture.DEMUCS: 1.5,  # one chunk of htdemucs, 11.5 s for 7.8 s of audio on two cores
}
"""Processing seconds of one pass for a second of audio, on a CPU. A GPU is faster; its jobs soon say by how much."""


class EstimateSource(StrEnum):
    """What an estimate rests on, the best first."""

    MEASURED = "measured"  # recent jobs of this preset and model on this server
    BENCHMARK = "benchmark"  # `limpid bench` on this machine
    DEFAULT = "default"  # DEFAULT_PASS_RTF


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long one recording will take."""

    audio_s: float
    rtf: float  # processing seconds per second of audio
    processing_s: float
    relative_cost: float
    source: EstimateSource


def estimate_run(
    options: EnhanceOptions, *, audio_s: float, runs: Sequence[PastRun], benchmark: Benchmark | None
) -> Estimate:
    """The estimate for `audio_s` seconds. Runs and benchmarks of the same model count in proportion to their passes."""
    cost = relative_cost(options)
    measured = [rtf for run in runs if (rtf := _rtf_by_run(run, options, cost=cost)) is not None]
    benchmarked = None if benchmark is None else _rtf_by_benchmark(benchmark, options, cost=cost)
    if measured:
        rtf, source = median(measured), EstimateSource.MEASURED
    elif benchmarked is not None:
        rtf, source = benchmarked, EstimateSource.BENCHMARK
    else:
        rtf, source = default_rtf(options), EstimateSource.DEFAULT
    return Estimate(audio_s=audio_s, rtf=rtf, processing_s=audio_s * rtf, relative_cost=cost, source=source)


def time_limit_s(
    options: EnhanceOptions,
    *,
    audio_s: float,
    channels: int,
    benchmark: Benchmark | None,
    factor: float,
    least_s: float,
) -> float:
    """Seconds that a run may take: `factor` times the larger of the default estimate and this machine's benchmark.

    At least `least_s`. The default of a CPU holds for a GPU too, since a run that lacks its memory falls back to the
    CPU; and of a recording with several `channels` each counts, for a model that takes them one by one.
    """
    rtf = default_rtf(options)
    benchmarked = None if benchmark is None else _rtf_by_benchmark(benchmark, options, cost=relative_cost(options))
    return max(factor * audio_s * channels * max(rtf, benchmarked or 0.0), least_s)


def default_rtf(options: EnhanceOptions) -> float:
    """Processing seconds per second of audio on a CPU that nothing is known of."""
    if options.model is None:
        return DEFAULT_BASE_RTF
    record = find_model(options.model)
    pass_rtf = DEFAULT_PASS_RTF[record.architecture] if record.cpu_rtf is None else record.cpu_rtf
    return DEFAULT_BASE_RTF + pass_rtf * relative_cost(options)


def _rtf_by_run(run: PastRun, options: EnhanceOptions, *, cost: float) -> float | None:
    """The run's RTF in proportion to the passes; None when it ran another model, or options unknown by now."""
    try:
        past = EnhanceOptions.model_validate(dict(run.options))
        past_cost = relative_cost(past)
    except (ValidationError, NotFound):
        return None
    return _scaled(run.rtf, past_cost, cost) if past.model == options.model else None


def _rtf_by_benchmark(benchmark: Benchmark, options: EnhanceOptions, *, cost: float) -> float | None:
    """By the preset itself where it was measured with this model, else by another preset of the model."""
    runs = sorted(
        (run for run in benchmark.runs if run.model == options.model), key=lambda run: run.preset != options.preset
    )
    return next((rtf for run in runs if (rtf := _scaled(run.rtf, run.relative_cost, cost)) is not None), None)


def _scaled(rtf: float, past_cost: float, cost: float) -> float | None:
    if past_cost == cost:
        return rtf
    return rtf * cost / past_cost if past_cost and cost else None

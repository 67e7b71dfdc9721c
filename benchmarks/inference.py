"""Speed and exactness of the engines against their stock alternatives, on the same weights in the same run.

    python -m benchmarks.inference [--only dns48,htdemucs,one-stem,jobs] [--seconds 60] [--json]

One thread, process CPU seconds, all alternatives in turn, medians. Weights are random and seeded (`benchmarks.stock`)
except those that come with Limpid. The stock alternative gets its memory as glibc hands it out, our engine as in a job,
where the process keeps what it freed (core.enhancement.heap). `peak` is the share of the float32 rate of matrix
products, measured first.

    dns48      the engine against the network as its paper's code computes it, the whole recording at once
    htdemucs   the engine against `demucs.apply.apply_model`
    one-stem   one stem of a bag like htdemucs_ft against the whole bag
    jobs       a whole job, from decoding to the report with its pictures, against its engine alone
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from demucs.apply import BagOfModels, apply_model

from benchmarks.recordings import FloatArray, noisy_speech, statistics_of, write_recording
from benchmarks.stock import random_bag, random_dns48
from benchmarks.timing import gemm_gflops, interleave, snr_db
from core.enhancement.dns import DnsEnhancer
from core.enhancement.heap import keep_freed_memory, return_freed_memory
from core.enhancement.htdemucs import HTDemucsSeparator, count_chunks
from core.enhancement.loader import load_enhancer
from core.enhancement.pipeline import run_pipeline
from core.enhancement.protocol import Enhancer
from core.models.demucs_causal import DemucsCausal
from core.models.precision import has_fast_bfloat16
from core.options import EnhanceOptions, resolve_options
from core.settings import Settings

DNS48_GFLOP_PER_S = 5.06
HTDEMUCS_GFLOP_PER_CHUNK = 334.6
"""10^9 operations, sums over the layers: for a second of audio, for a chunk of 7.8 s."""
JOB_RATE = 48_000  # Hz; most recordings have it
JOB_PRESETS = ("speech", "speech-dns48", "voice-chain", "fast")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison; `own` and `stock` in CPU seconds per second of audio."""

    name: str
    audio_s: float
    own: float
    stock: float
    ratio: float  # stock / own, but own / stock of a job, which contains its engine
    goal: str
    snr_db: float | None = None  # of what the stock alternative returned over the difference to it
    peak: float | None = None  # 0..1


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What all comparisons share."""

    seconds: float
    mix_seconds: float
    repetitions: int
    gflops: float

    def compare(
        self, name: str, runs: Mapping[str, Callable[[], FloatArray]], *, audio_s: float, goal: str, gflop: float
    ) -> Row:
        """Time `runs["own"]` against `runs["stock"]`."""
        timed = interleave(runs, repetitions=self.repetitions)
        own, stock = timed["own"], timed["stock"]
        return Row(
            name=name,
            audio_s=audio_s,
            own=own.cpu_s / audio_s,
            stock=stock.cpu_s / audio_s,
            ratio=stock.cpu_s / own.cpu_s,
            goal=goal,
            snr_db=snr_db(stock.result, own.result),
            peak=gflop / own.cpu_s / self.gflops,
        )


def compare_dns48(setup: Setup) -> Iterator[Row]:
    """Our engine, block by block, against the plain network over the whole recording."""
    plain = random_dns48()
    engine = random_dns48_engine()
    wav = noisy_speech(setup.seconds, sample_rate=16_000)

    def stock() -> FloatArray:
        return_freed_memory()
        with torch.inference_mode():
            return np.asarray(plain(torch.from_numpy(wav)[None]))

    runs = {"stock": stock, "own": partial(_enhance, engine, wav)}
    gflop = DNS48_GFLOP_PER_S * setup.seconds
    yield setup.compare("dns48", runs, audio_s=setup.seconds, goal=">= 2.6", gflop=gflop)


def compare_htdemucs(setup: Setup) -> Iterator[Row]:
    """Four stems of one network against `apply_model`."""
    bags = random_bag(1, is_one_hot=False), random_bag(1, is_one_hot=False)
    yield _compare_bags(setup, "htdemucs", bags, stems=None, goal=">= 1.25")


def compare_one_stem(setup: Setup) -> Iterator[Row]:
    """One stem of a bag of four specialists against `apply_model` with the whole bag."""
    bags = random_bag(4, is_one_hot=True), random_bag(4, is_one_hot=True)
    yield _compare_bags(setup, "htdemucs_ft, one stem", bags, stems=("vocals",), goal=">= 4")


def _compare_bags(
    setup: Setup, name: str, bags: tuple[BagOfModels, BagOfModels], *, stems: tuple[str, ...] | None, goal: str
) -> Row:
    stock_bag, own_bag = bags
    engine = HTDemucsSeparator(
        own_bag, name=name, licence="none", stems=stems, has_fast_transformer=has_fast_bfloat16("cpu")
    )
    rate = engine.info.sample_rate
    wav = noisy_speech(setup.mix_seconds, sample_rate=rate, channels=2)
    statistics = statistics_of(wav)
    indices = [stock_bag.sources.index(stem) for stem in engine.info.stems]

    def stock() -> FloatArray:
        return_freed_memory()
        mix = (torch.from_numpy(wav) - statistics.mean) / statistics.std
        estimates = apply_model(stock_bag, mix[None], shifts=0, overlap=0.25)[0, indices]
        return np.asarray(estimates * statistics.std + statistics.mean)

    chunks = count_chunks(stock_bag, wav.shape[1], shifts=0, overlap=0.25) // len(stock_bag.models)
    runs = {"stock": stock, "own": partial(_enhance, engine, wav)}
    gflop = HTDEMUCS_GFLOP_PER_CHUNK * chunks
    return setup.compare(name, runs, audio_s=setup.mix_seconds, goal=goal, gflop=gflop)


def compare_jobs(setup: Setup) -> Iterator[Row]:
    """Whole jobs on recordings at 48 kHz, with as many channels as their engines take, against the engines alone."""
    for preset in JOB_PRESETS:
        with tempfile.TemporaryDirectory(prefix="limpid-benchmark-") as folder:
            yield _compare_job(setup, preset, Path(folder))


def _compare_job(setup: Setup, preset: str, folder: Path) -> Row:
    options = resolve_options(preset)
    engine = _engine_of(options)
    channels = engine.info.channels
    short, recording = folder / "short.wav", folder / "recording.wav"
    for path, seconds in ((short, 1.0), (recording, setup.seconds)):
        write_recording(path, noisy_speech(seconds, sample_rate=JOB_RATE, channels=channels), JOB_RATE)
    wav = noisy_speech(setup.seconds, sample_rate=engine.info.sample_rate, channels=channels)

    def job(source: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="limpid-benchmark-") as workspace:
            run_pipeline(
                source,
                options=options,
                input_name=source.name,
                workspace=Path(workspace),
                enhancer=engine,
                on_progress=lambda stage, progress: None,
            )

    # A worker's first job starts the process that decodes for it, and PyTorch compiles its kernels in the first call.
    job(short)
    runs = {"job": partial(job, recording), "alone": partial(_enhance, engine, wav)}
    timed = interleave(runs, repetitions=setup.repetitions)
    own_s, stock_s = timed["job"].cpu_s, timed["alone"].cpu_s
    return Row(
        name=f"job: {preset}",
        audio_s=setup.seconds,
        own=own_s / setup.seconds,
        stock=stock_s / setup.seconds,
        ratio=own_s / stock_s,
        goal="<= 1.10",
    )


def _enhance(engine: Enhancer, wav: FloatArray) -> FloatArray:
    """What the engine makes of `wav` (C, T) at its rate, with its memory as in a job."""
    keep_freed_memory()
    return engine.enhance(wav, engine.info.sample_rate, statistics=statistics_of(wav))


def random_dns48_engine() -> Enhancer:
    """Our engine with the weights of `random_dns48`."""
    network = DemucsCausal()
    network.load_state_dict(random_dns48().state_dict())
    return DnsEnhancer(network, name="dns48", licence="none")


def _engine_of(options: EnhanceOptions) -> Enhancer:
    if options.model is None:
        raise ValueError("a job without a model has nothing to be compared with")
    if options.model == "dns48":
        return random_dns48_engine()
    if options.model == "htdemucs":
        return HTDemucsSeparator(
            random_bag(1, is_one_hot=False),
            name=options.model,
            licence="none",
            shifts=options.shifts,
            overlap=options.overlap,
            has_fast_transformer=has_fast_bfloat16("cpu"),
        )
    return load_enhancer(options.model, models_dir=Settings().resolved_models_dir)


COMPARISONS: Mapping[str, Callable[[Setup], Iterator[Row]]] = {
    "dns48": compare_dns48,
    "htdemucs": compare_htdemucs,
    "one-stem": compare_one_stem,
    "jobs": compare_jobs,
}


def as_line(row: Row) -> str:
    """The row of the table."""
    exactness = "" if row.snr_db is None else "equal" if math.isinf(row.snr_db) else f"{row.snr_db:.0f} dB"
    peak = "" if row.peak is None else f"{row.peak:.0%}"
    return (
        f"{row.name:24}{row.audio_s:>8.1f}{row.own:>9.4f}{row.stock:>9.4f}{row.ratio:>8.2f}  {row.goal:9}"
        f"{exactness:>8}{peak:>7}"
    )


def main() -> None:
    """Run the comparisons one after another and print each as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(COMPARISONS), help="comma-separated comparisons")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the speech recordings")
    parser.add_argument("--mix-seconds", type=float, default=11.6, help="length for the separators; 11.6 s: two chunks")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print a JSON line for each comparison instead of a table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    gflops, gflops_bfloat16 = gemm_gflops(torch.float32), gemm_gflops(torch.bfloat16)
    setup = Setup(
        seconds=arguments.seconds,
        mix_seconds=arguments.mix_seconds,
        repetitions=arguments.repetitions,
        gflops=gflops,
    )
    if arguments.json:
        _print(json.dumps({"gemm_gflops": {"float32": round(gflops, 1), "bfloat16": round(gflops_bfloat16, 1)}}))
    else:
        _print(f"matrix products on one thread: {gflops:.0f} GFLOP/s float32, {gflops_bfloat16:.0f} bfloat16")
        _print(f"{'':24}{'audio, s':>8}{'own':>9}{'stock':>9}{'ratio':>8}  {'goal':9}{'SNR':>8}{'peak':>7}")
    for name in arguments.only.split(","):
        if name not in COMPARISONS:
            sys.exit(f"there is no comparison {name!r}; choose from {', '.join(COMPARISONS)}")
        for row in COMPARISONS[name](setup):
            _print(json.dumps(dataclasses.asdict(row)) if arguments.json else as_line(row))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

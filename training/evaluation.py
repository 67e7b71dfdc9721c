"""Evaluation of an engine on recordings: objective measures per file, their means with bootstrap intervals, by SNR."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
import soxr

from core.audio.dnsmos import predict_scores
from core.audio.segments import SegmentJoiner, split_segments
from core.enhancement.protocol import Enhancer, SignalStatistics
from training import metrics
from training.datasets import FloatArray
from training.pairs import Pair, read_mono

SAMPLE_RATE = metrics.SAMPLE_RATE
SNR_BANDS_DB = ((-np.inf, 0.0), (0.0, 7.5), (7.5, 15.0), (15.0, np.inf))
SPEECH_STEM = "vocals"  # of engines that separate stems

Process = Callable[[FloatArray], FloatArray]
"""Takes and returns (T,) at 16 kHz."""


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """The measures of one recording by name, for the input as it is and for the engine's output."""

    name: str
    kind: str
    snr_db: float | None
    duration_s: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    rtf: float  # CPU seconds / audio seconds


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Mean and 95 % bootstrap interval of a measure over the files that have it."""

    mean: float
    low: float
    high: float
    files: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All results of one system."""

    system: str
    files: Sequence[FileResult] = field(default_factory=tuple)

    @property
    def rtf(self) -> float:
        """CPU seconds per audio second over all files."""
        return sum(file.rtf * file.duration_s for file in self.files) / sum(file.duration_s for file in self.files)

    def summarise(self) -> dict[str, dict[str, Summary]]:
        """Return the summaries as {"before" | "after" | "gain": {measure: Summary}}, gain = after - before."""
        sides: dict[str, list[Mapping[str, float]]] = {
            "before": [file.before for file in self.files],
            "after": [file.after for file in self.files],
            "gain": [_difference(file) for file in self.files],
        }
        return {side: summarise_rows(rows) for side, rows in sides.items()}

    def by_kind(self) -> dict[str, Evaluation]:
        """Return the parts of the evaluation by the kind of the recordings, in the order of their coming."""
        kinds = dict.fromkeys(file.kind for file in self.files)
        return {
            kind: Evaluation(system=self.system, files=[file for file in self.files if file.kind == kind])
            for kind in kinds
        }

    def by_snr_band(self) -> dict[str, Evaluation]:
        """Return the parts of the evaluation by input SNR; files of unknown SNR are in none."""
        bands = {}
        for low, high in SNR_BANDS_DB:
            inside = [file for file in self.files if file.snr_db is not None and low <= file.snr_db < high]
            if inside:
                bands[f"{low:g}..{high:g} dB"] = Evaluation(system=self.system, files=inside)
        return bands


def run_engine(enhancer: Enhancer, signal: FloatArray) -> FloatArray:
    """Return the outputs (S, C, T) of `signal` (C, T), in the engine's own rate and channels, segment by segment."""
    info = enhancer.info
    mono = signal.mean(axis=0)
    statistics = SignalStatistics(
        samples=len(mono),
        mean=float(mono.mean()),
        std=float(mono.std(ddof=1)),
        peak=float(np.abs(mono).max()),
    )
    joiner = SegmentJoiner()
    parts = [
        joiner.add(
            segment,
            enhancer.enhance(
                signal[:, segment.read_start : segment.read_stop], info.sample_rate, statistics=statistics
            ),
        )
        for segment in split_segments(signal.shape[1], info.segment)
    ]
    return np.concatenate(parts, axis=-1)


def process_with(enhancer: Enhancer) -> Process:
    """Return the function that runs a whole recording through `enhancer`, in its segments, rates and channels."""

    def process(wav: FloatArray) -> FloatArray:
        info = enhancer.info
        at_rate = wav if info.sample_rate == SAMPLE_RATE else soxr.resample(wav, SAMPLE_RATE, info.sample_rate)
        outputs = run_engine(enhancer, np.repeat(at_rate[np.newaxis], info.channels, axis=0).astype(np.float32))
        stem = info.stems.index(SPEECH_STEM) if SPEECH_STEM in info.stems else 0
        estimate: FloatArray = outputs[stem].mean(axis=0)
        if info.sample_rate != SAMPLE_RATE:
            estimate = soxr.resample(estimate, info.sample_rate, SAMPLE_RATE)
        return np.pad(estimate, (0, max(0, len(wav) - len(estimate))))[: len(wav)].astype(np.float32)

    return process


def measure(estimate: FloatArray, clean: FloatArray | None) -> dict[str, float]:
    """Return the measures of `estimate` (T,): against `clean` where there is one, and DNSMOS where it is installed."""
    figures: dict[str, float] = {}
    if clean is not None:
        figures |= {
            "pesq": metrics.pesq_wideband(estimate, clean),
            "stoi": metrics.stoi(estimate, clean),
            "estoi": metrics.stoi(estimate, clean, extended=True),
            "si_sdr_db": metrics.si_sdr_db(estimate, clean),
            "lsd_db": metrics.log_spectral_distance_db(estimate, clean),
        }
    if find_spec("speechmos") is not None:
        figures |= dnsmos(estimate)
    return figures


def dnsmos(wav: FloatArray) -> dict[str, float]:
    """Return DNSMOS P.835 of `wav` (T,): `sig`, `bak`, `ovrl` (1..5), from the package speechmos."""
    scores = predict_scores(np.clip(wav, -1.0, 1.0))
    return {name: float(scores[f"{name}_mos"]) for name in ("sig", "bak", "ovrl")}


def evaluate(
    system: str,
    process: Process,
    pairs: Iterable[Pair],
    *,
    on_file: Callable[[FileResult, FloatArray], None] | None = None,
) -> Evaluation:
    """Return the evaluation of `process` on `pairs`; `on_file` receives each result with its output."""
    results = []
    for pair in pairs:
        noisy = read_mono(pair.noisy, sample_rate=SAMPLE_RATE)
        clean = None if pair.clean is None else read_mono(pair.clean, sample_rate=SAMPLE_RATE)[: len(noisy)]
        started = time.process_time()
        estimate = process(noisy)
        cpu_s = time.process_time() - started
        result = FileResult(
            name=pair.name,
            kind=pair.kind,
            snr_db=pair.snr_db,
            duration_s=len(noisy) / SAMPLE_RATE,
            before=measure(noisy, clean),
            after=measure(estimate, clean),
            rtf=cpu_s * SAMPLE_RATE / len(noisy),
        )
        results.append(result)
        if on_file is not None:
            on_file(result, estimate)
    return Evaluation(system=system, files=results)


def _difference(file: FileResult) -> dict[str, float]:
    return {name: file.after[name] - file.before[name] for name in file.after}


def summarise_rows(rows: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Return the summary of every measure over the rows that have it."""
    summaries = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row and np.isfinite(row[name])]
        if values:
            low, high = metrics.bootstrap_interval(values)
            summaries[name] = Summary(mean=float(np.mean(values)), low=low, high=high, files=len(values))
    return summaries

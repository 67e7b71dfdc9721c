"""The way of one recording: prepare, enhance, finish. Constant memory for any length; scratch lives in `workspace`.

Used by the worker and by `limpid enhance`; it knows nothing of queues, databases or object stores.
"""

from __future__ import annotations

import math
import resource
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.audio.segments import SegmentJoiner, split_segments
from core.enhancement.blas import use_one_blas_thread
from core.enhancement.common_gain import gain_db
from core.enhancement.finish import finish
from core.enhancement.heap import keep_freed_memory
from core.enhancement.kept_level import fit_level
from core.enhancement.prepare import Prepared, prepare, select_group
from core.enhancement.produced import ProducedFile
from core.enhancement.progress import ProgressMeter, ProgressSink
from core.enhancement.protocol import Enhancer, EnhancerInfo, FloatArray, WatchedEnhancer
from core.enhancement.reference import prepare_reference
from core.enhancement.scratch import ScratchSignal
from core.errors import InvalidOptions
from core.jobs import Progress, Stage
from core.model_catalogue import find_alias
from core.options import EnhanceOptions

CLEAN_ROLE = "enhanced"
"""The role of the only output when no engine runs."""


@dataclass(frozen=True, kw_only=True)
class PipelineResult:
    """The files of a run, still in its workspace, and what is to be said of them."""

    files: tuple[ProducedFile, ...]
    report: dict[str, Any]
    warnings: tuple[str, ...]
    progress: Progress


def run_pipeline(
    source: Path,
    *,
    options: EnhanceOptions,
    input_name: str,
    workspace: Path,
    enhancer: Enhancer | None,
    on_progress: ProgressSink,
    reference: Path | None = None,
    max_duration_s: float = math.inf,
) -> PipelineResult:
    """Restore the recording `source` into files below `workspace`, which the caller makes and removes.

    `enhancer` is the engine that `options.model` names, None for none. Whatever `on_progress` raises stops the run.
    A recording that turns out longer than `max_duration_s` is refused with InputTooLarge.
    With a clean `reference` of the recording the report compares both with it. Raises InvalidAudio, UnsupportedMedia or
    InsufficientDisk for what the recording, the reference or the machine lacks; InvalidOptions for a reference where
    there are several outputs.
    """
    use_one_blas_thread()
    keep_freed_memory()
    info = enhancer.info if enhancer else None
    stems = info.stems if info else (CLEAN_ROLE,)
    if reference is not None and len(stems) > 1:
        raise InvalidOptions(f"A reference is of one output; this job has {', '.join(stems)}. Choose one by stems.")
    if isinstance(enhancer, WatchedEnhancer):
        enhancer.begin_recording()
    meter = ProgressMeter(on_progress, has_model=enhancer is not None)
    with ExitStack() as scratch:
        prepared = prepare(
            source,
            options=options,
            input_name=input_name,
            workspace=workspace,
            info=info,
            scratch=scratch,
            on_fraction=lambda fraction: meter.update(Stage.PREPARE, fraction),
            max_duration_s=max_duration_s,
        )
        meter.duration_s = prepared.native.frames / prepared.native.sample_rate
        clean = None
        if reference is not None:
            clean = prepare_reference(reference, prepared.native, workspace=workspace, scratch=scratch)
        prepare_s = meter.elapsed_s
        estimates = None
        if enhancer is not None and options.strength > 0:
            estimates = _new_estimates(prepared, enhancer, workspace=workspace, scratch=scratch)
            _enhance(prepared, enhancer, estimates, seed=options.seed, meter=meter)
            if enhancer.info.shrinks_speech:
                estimates.gain = fit_level(prepared.model, estimates)
        enhance_s = meter.elapsed_s - prepare_s
        finished = finish(
            prepared,
            estimates,
            stems=stems,
            options=options,
            input_name=input_name,
            workspace=workspace,
            on_fraction=lambda fraction: meter.update(Stage.FINISH, fraction),
            reference=clean,
        )
    progress = meter.finish()
    report = {
        "duration_s": progress.duration_s,
        "rtf": progress.rtf,
        "stage_s": {
            Stage.PREPARE: prepare_s,
            Stage.ENHANCE: enhance_s,
            Stage.FINISH: meter.elapsed_s - prepare_s - enhance_s,
        },
        "peak_memory_bytes": peak_memory_bytes(),
        "input": {
            "format": prepared.probe.format,
            "track": options.track,
            "tracks": prepared.probe.tracks,
            "sample_rate": prepared.native.sample_rate,
            "channels": prepared.native.channels,
            "frames": prepared.native.frames,
            **finished.input_levels,
            "tonal_ratio": prepared.tonal_ratio,
        },
        "outputs": finished.output_levels,
        "gain_db": gain_db(finished.gain),
        "reference": finished.comparison,
        "model": info
        and {
            "name": info.name,
            "licence": info.licence,
            "weights_sha256": info.weights_sha256,
            "sample_rate": info.sample_rate,
            "precision": "fast" if info.is_fast else "standard",
            "level_gain_db": 0.0 if estimates is None else gain_db(estimates.gain),
        },
        "bandwidth": _describe_bandwidth(prepared, options, has_run=estimates is not None),
    }
    return PipelineResult(
        files=finished.files,
        report=report,
        warnings=_model_notes(options, info) + prepared.warnings + _engine_warnings(enhancer) + finished.warnings,
        progress=progress,
    )


def _model_notes(options: EnhanceOptions, info: EnhancerInfo | None) -> tuple[str, ...]:
    """What the user should know of a model that runs under another name, or not as was asked for."""
    alias = find_alias(options.model) if options.model is not None else None
    notes: tuple[str, ...] = (f"{alias.name!r}: {alias.note}",) if alias is not None else ()
    if options.precision == "fast" and info is not None and not info.is_fast:
        notes += (f"precision 'fast' makes no difference to the model {info.name!r} on this machine.",)
    return notes


def _engine_warnings(enhancer: Enhancer | None) -> tuple[str, ...]:
    return enhancer.warnings if isinstance(enhancer, WatchedEnhancer) else ()


def _describe_bandwidth(prepared: Prepared, options: EnhanceOptions, *, has_run: bool) -> dict[str, Any]:
    """Up to where the engine heard the recording, and what was done with the rest: `carried`, `empty`, or None."""
    native_hz, engine_hz = prepared.native.sample_rate / 2, prepared.model.sample_rate / 2
    if not has_run:
        return {"engine_hz": None, "above": None}
    above = None if engine_hz >= native_hz else {"keep": "carried", "model": "empty"}[options.bandwidth]
    return {"engine_hz": engine_hz, "above": above}


def peak_memory_bytes() -> int:
    """The largest resident set that this process ever had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _new_estimates(prepared: Prepared, enhancer: Enhancer, *, workspace: Path, scratch: ExitStack) -> ScratchSignal:
    """An empty signal for stem after stem, each with every channel."""
    return scratch.enter_context(
        ScratchSignal(
            workspace / "estimates.f32",
            channels=len(enhancer.info.stems) * prepared.model.channels,
            sample_rate=prepared.model.sample_rate,
        )
    )


def _enhance(
    prepared: Prepared, enhancer: Enhancer, estimates: ScratchSignal, *, seed: int, meter: ProgressMeter
) -> None:
    """Run the engine segment by segment and append what is finished to `estimates`."""
    signal, stems = prepared.model, enhancer.info.stems
    segments = list(split_segments(signal.frames, enhancer.info.segment))
    joiner = SegmentJoiner()
    calls = len(segments) * len(prepared.groups)
    for index, segment in enumerate(segments):
        if isinstance(enhancer, WatchedEnhancer):
            enhancer.begin_segment(segment)
        estimate = np.empty((len(stems), signal.channels, segment.read_stop - segment.read_start), dtype=np.float32)
        for number, group in enumerate(prepared.groups):
            # Read for each group anew: all channels of a long segment are more to keep than to read.
            wav = select_group(signal.read(segment.read_start, segment.read_stop), group)
            done = index * len(prepared.groups) + number

            def report(fraction: float, done: int = done) -> None:
                meter.update(Stage.ENHANCE, (done + fraction) / calls)

            statistics = prepared.statistics[number]
            result = enhancer.enhance(wav, signal.sample_rate, statistics=statistics, seed=seed, on_progress=report)
            _place(estimate, result, group)
            del wav, result  # tens of megabytes each, and no longer needed while the next ones come
            report(1.0)
        estimates.append(joiner.add(segment, estimate).reshape(estimates.channels, -1))


def _place(estimate: FloatArray, result: FloatArray, group: tuple[int, ...]) -> None:
    """Put a group's result (S, len(group), T) back; a channel that was paired with itself gets the pair's mean."""
    for channel in dict.fromkeys(group):
        positions = [position for position, member in enumerate(group) if member == channel]
        estimate[:, channel] = result[:, positions].mean(axis=1) if len(positions) > 1 else result[:, positions[0]]

"""`limpid bench`: speed and memory of the presets on this machine."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.configuration import load_settings

SAMPLE_RATE = 48_000  # Hz; most recordings have it, and the models' own rate would hide the resampling


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One preset, run once in a process of its own."""

    preset: str
    model: str | None
    duration_s: float
    load_s: float  # from nothing to a loaded engine, imports included
    processing_s: float
    rtf: float
    peak_memory_bytes: int
    relative_cost: float  # passes of the network, core.estimation.cost


def bench(
    *,
    presets: Annotated[
        list[str] | None, typer.Option("--preset", help="May be given again; default: every one that is installed.")
    ] = None,
    duration_s: Annotated[float, typer.Option("--seconds", min=1, help="Length of the recording.")] = 60.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch; a worker uses one per job.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Measure real-time factor and peak memory of presets on a mono recording at 48 kHz.

    The figures are kept in the data folder: `POST /api/v1/estimate` goes by them until there are jobs to go by.
    """
    names = presets or _installed_presets()
    with tempfile.TemporaryDirectory(prefix="limpid-bench-") as folder:
        recording = Path(folder) / "recording.wav"
        _write_recording(recording, duration_s=duration_s)
        results = [_measure_apart(name, recording, threads=threads) for name in names]
    _keep(results, threads=threads)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(result) for result in results], indent=2))
        return
    _print_table(results, threads=threads)


def measure(preset: str, recording: Path, *, threads: int) -> Measurement:
    """Run the pipeline once in this process; its peak memory is the process's."""
    from core.enhancement.pipeline import run_pipeline
    from core.estimation.cost import relative_cost
    from core.options import resolve_options

    options = resolve_options(preset, operator=load_settings().operator_defaults)
    started = time.perf_counter()
    enhancer = None
    if options.model is not None:
        import torch

        from core.enhancement.loader import load_enhancer

        torch.set_num_threads(threads)
        enhancer = load_enhancer(
            options.model,
            models_dir=load_settings().resolved_models_dir,
            shifts=options.shifts,
            overlap=options.overlap,
            precision=options.precision,
        )
    load_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory(prefix="limpid-bench-") as workspace:
        started = time.perf_counter()
        result = run_pipeline(
            recording,
            options=options,
            input_name=recording.name,
            workspace=Path(workspace),
            enhancer=enhancer,
            on_progress=lambda stage, progress: None,
        )
        processing_s = time.perf_counter() - started
    duration_s = result.report["duration_s"]
    return Measurement(
        preset=preset,
        model=options.model,
        duration_s=duration_s,
        load_s=load_s,
        processing_s=processing_s,
        rtf=processing_s / duration_s,
        peak_memory_bytes=result.report["peak_memory_bytes"],
        relative_cost=relative_cost(options),
    )


def _keep(results: Sequence[Measurement], *, threads: int) -> None:
    from core.estimation.benchmark import BenchmarkRun, keep_runs

    now = datetime.now(UTC)
    runs = [
        BenchmarkRun(
            preset=result.preset,
            model=result.model,
            relative_cost=result.relative_cost,
            rtf=result.rtf,
            duration_s=result.duration_s,
            threads=threads,
            measured_at=now,
        )
        for result in results
    ]
    data_dir = load_settings().data_dir
    try:
        keep_runs(runs, data_dir)
    except OSError as error:
        typer.echo(f"limpid: the figures cannot be kept in {data_dir}: {error.strerror}", err=True)


def _measure_apart(preset: str, recording: Path, *, threads: int) -> Measurement:
    # A fresh process each: peak memory never falls, and the import of PyTorch is part of a worker's start.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (preset, recording), {"threads": threads})


def _installed_presets() -> list[str]:
    from core.model_catalogue import is_installed
    from core.presets import PRESETS

    models_dir = load_settings().resolved_models_dir
    return [name for name, preset in PRESETS.items() if preset.model is None or is_installed(preset.model, models_dir)]


def _write_recording(path: Path, *, duration_s: float) -> None:
    """The bundled noisy recording again and again, resampled to SAMPLE_RATE."""
    import numpy as np
    import soundfile
    import soxr

    with importlib.resources.as_file(importlib.resources.files("cli.recordings") / "noisy.flac") as bundled:
        noisy, sample_rate = soundfile.read(bundled, dtype="float32")
    resampled = soxr.resample(noisy, sample_rate, SAMPLE_RATE)
    soundfile.write(path, np.resize(resampled, round(duration_s * SAMPLE_RATE)), SAMPLE_RATE, subtype="PCM_16")


def _print_table(results: Sequence[Measurement], *, threads: int) -> None:
    typer.echo(f"{_machine()}, {threads} PyTorch thread(s), {results[0].duration_s:g} s mono at {SAMPLE_RATE} Hz")
    typer.echo(f"{'preset':16}{'model':14}{'load, s':>9}{'run, s':>9}{'RTF':>9}{'x real time':>13}{'peak, MB':>10}")
    for result in results:
        typer.echo(
            f"{result.preset:16}{result.model or '-':14}{result.load_s:>9.2f}{result.processing_s:>9.2f}"
            f"{result.rtf:>9.4f}{1 / result.rtf:>13.1f}{result.peak_memory_bytes / 1e6:>10.0f}"
        )


def _machine() -> str:
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"

"""Peak memory of one job against the length of its recording: `python -m benchmarks.memory [--minutes 1,10,60]`.

Each length runs in a process of its own, which makes a 48 kHz stereo 16-bit WAV of generated noise, restores it and
prints its peak resident set. What matters is the difference to the shortest length: the pipeline streams, so it should
stay within 100 MB. `--preset clean-only` measures the DSP chain, `--preset speech` the bundled model.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

SAMPLE_RATE = 48_000
CHANNELS = 2
_MB = 1e6


def write_noise(path: Path, duration_s: float) -> None:
    """A quiet noise recording, made second by second."""
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, CHANNELS, subtype="PCM_16", format="RF64") as file:
        for _ in range(int(duration_s)):
            file.write(0.1 * generator.standard_normal((SAMPLE_RATE, CHANNELS), dtype=np.float32))


def measure(preset: str, duration_s: float, results: multiprocessing.Queue[dict[str, Any]]) -> None:
    """Run one job in this process and report its figures."""
    from core.enhancement.loader import load_enhancer
    from core.enhancement.pipeline import peak_memory_bytes, run_pipeline
    from core.options import resolve_options
    from core.settings import Settings

    options = resolve_options(preset)
    with tempfile.TemporaryDirectory(prefix="limpid-benchmark-") as folder:
        source, workspace = Path(folder, "noise.wav"), Path(folder, "workspace")
        workspace.mkdir()
        write_noise(source, duration_s)
        enhancer = load_enhancer(options.model, models_dir=Settings().resolved_models_dir) if options.model else None
        before, started = peak_memory_bytes(), time.perf_counter()
        run_pipeline(
            source,
            options=options,
            input_name="noise.wav",
            workspace=workspace,
            enhancer=enhancer,
            on_progress=lambda stage, progress: None,
        )
        elapsed_s = time.perf_counter() - started
    results.put(
        {
            "preset": preset,
            "duration_s": duration_s,
            "peak_memory_mb": round(peak_memory_bytes() / _MB, 1),
            "before_the_run_mb": round(before / _MB, 1),
            "rtf": round(elapsed_s / duration_s, 4),
        }
    )


def main() -> None:
    """Measure each length in turn and print a JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="clean-only")
    parser.add_argument("--minutes", default="1,10,60", help="comma-separated lengths in minutes")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for minutes in arguments.minutes.split(","):
        results: multiprocessing.Queue[dict[str, Any]] = context.Queue()
        process = context.Process(target=measure, args=(arguments.preset, float(minutes) * 60, results))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"the run of {minutes} minutes ended with status {process.exitcode}")
        sys.stdout.write(json.dumps(results.get()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

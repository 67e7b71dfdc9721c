"""Peak memory of one job against the length of its recording: `python -m benchmarks.memory [--minutes 1,10,60]`.

Each length runs in a process of its own, which makes a 48 kHz stereo 16-bit WAV of generated noise, restores it and
prints its peak anonymous and resident memory. What matters is the difference to the shortest length: the pipeline
streams, so it should stay within 100 MB. The default is an engine that changes nothing, with the DSP chain of
`clean-only`; `--preset speech` measures the bundled model, `--preset speech-dns48` dns48 with random weights, which
take what trained ones do.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

if TYPE_CHECKING:
    from core.enhancement.protocol import Enhancer

SAMPLE_RATE = 48_000
CHANNELS = 2
_MB = 1e6


def write_noise(path: Path, duration_s: float) -> None:
    """A quiet noise recording, made second by second."""
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, CHANNELS, subtype="PCM_16", format="RF64") as file:
        for _ in range(int(duration_s)):
            file.write(0.1 * generator.standard_normal((SAMPLE_RATE, CHANNELS), dtype=np.float32))


def make_engine(model: str | None) -> Enhancer:
    """The engine of a preset's model: bundled weights, random ones for dns48, the identity for none."""
    if model is None:
        from benchmarks.identity import IdentityEnhancer

        return IdentityEnhancer(sample_rate=SAMPLE_RATE)
    # Only here, because PyTorch takes 190 MB, which a job without a network does not need.
    from core.enhancement.dns import DnsEnhancer
    from core.enhancement.loader import load_enhancer
    from core.models.demucs_causal import DemucsCausal
    from core.settings import Settings

    if model == "dns48":
        return DnsEnhancer(DemucsCausal(), name=model, licence="none")
    return load_enhancer(model, models_dir=Settings().resolved_models_dir)


def anonymous_bytes() -> int:
    """The memory of this process that no file backs, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def measure(preset: str, duration_s: float, results: multiprocessing.Queue[dict[str, Any]]) -> None:
    """Run one job in this process and report its figures."""
    from core.enhancement.pipeline import peak_memory_bytes, run_pipeline
    from core.options import resolve_options

    options = resolve_options(preset)
    peak_anonymous = 0

    def watch(*_: object) -> None:
        nonlocal peak_anonymous
        peak_anonymous = max(peak_anonymous, anonymous_bytes())

    with tempfile.TemporaryDirectory(prefix="limpid-benchmark-") as folder:
        source, workspace = Path(folder, "noise.wav"), Path(folder, "workspace")
        workspace.mkdir()
        write_noise(source, duration_s)
        enhancer = make_engine(options.model)
        before, started = peak_memory_bytes(), time.perf_counter()
        run_pipeline(
            source,
            options=options,
            input_name="noise.wav",
            workspace=workspace,
            enhancer=enhancer,
            on_progress=watch,
        )
        elapsed_s = time.perf_counter() - started
    results.put(
        {
            "preset": preset,
            "engine": enhancer.info.name,
            "duration_s": duration_s,
            "peak_anonymous_mb": round(peak_anonymous / _MB, 1),
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

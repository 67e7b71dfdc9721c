"""A whole job with a recording beyond 4 GiB: `python -m benchmarks.large [--format flac] [--gib 4.1] [--folder DIR]`.

Makes a recording of about that size, eight channels at 48 kHz, RF64 in 32-bit float or FLAC in 24 bits, and restores it
with an engine that changes nothing: decoding, segments, meters, pictures and encoding are those of every job. Then the
result is held against the recording: its container, as many frames, the same samples to -120 dBFS (cross-fades and
24 bits round). Prints a JSON line, and ends with status 1 when something differs.
`DIR` (default: the folder for temporary files) needs five times the size free.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.identity import IdentityEnhancer
from benchmarks.memory import anonymous_bytes
from benchmarks.timing import cpu_seconds
from core.enhancement.pipeline import peak_memory_bytes, run_pipeline
from core.enhancement.scratch import require_free_disk
from core.options import resolve_options

SAMPLE_RATE = 48_000
CHANNELS = 8
SCRATCH_FRAME_BYTES = 4 * CHANNELS
BLOCK_FRAMES = 65_521
"""A prime, so that no place looks like another one that is some blocks of the pipeline away."""
NULL = 1e-6
"""-120 dBFS."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a recording is written, as which output, and the four bytes that it begins with when it is beyond 4 GiB."""

    format: str
    subtype: str
    output: str
    frame_bytes: int
    large_magic: str


KINDS = {
    "rf64": Kind(format="RF64", subtype="FLOAT", output="wav", frame_bytes=4 * CHANNELS, large_magic="RF64"),
    "flac": Kind(format="FLAC", subtype="PCM_24", output="flac", frame_bytes=3 * CHANNELS, large_magic="fLaC"),
}
"""Noise, which FLAC can hardly make smaller than its samples are."""


def write_noise(path: Path, frames: int, kind: Kind) -> None:
    """A block of noise again and again, its level telling where in the recording it stands."""
    noise = np.random.default_rng(0).uniform(-1, 1, (BLOCK_FRAMES, CHANNELS)).astype(np.float32)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, CHANNELS, subtype=kind.subtype, format=kind.format) as file:
        for start in range(0, frames, BLOCK_FRAMES):
            file.write(noise[: frames - start] * np.float32(0.1 + 0.8 * start / frames))


def largest_difference(first: Path, second: Path) -> float:
    """Between the samples of two files; infinity where one is longer."""
    largest = 0.0
    with soundfile.SoundFile(first) as ours, soundfile.SoundFile(second) as theirs:
        if ours.frames != theirs.frames:
            return float("inf")
        while len(block := ours.read(BLOCK_FRAMES, dtype="float32")):
            largest = max(largest, float(np.abs(block - theirs.read(BLOCK_FRAMES, dtype="float32")).max()))
    return largest


def measure(gib: float, folder: Path, kind: Kind) -> dict[str, Any]:
    """Run the job below `folder`, which is left empty, and return what was found."""
    frames = round(gib * 2**30 / kind.frame_bytes)
    require_free_disk(folder, 4 * frames * SCRATCH_FRAME_BYTES)
    peak_anonymous = 0

    def watch(*_: object) -> None:
        nonlocal peak_anonymous
        peak_anonymous = max(peak_anonymous, anonymous_bytes())

    with tempfile.TemporaryDirectory(prefix="limpid-benchmark-", dir=folder) as name:
        source, workspace = Path(name, f"large.{kind.format.lower()}"), Path(name, "workspace")
        workspace.mkdir()
        write_noise(source, frames, kind)
        started_s = cpu_seconds()
        result = run_pipeline(
            source,
            options=resolve_options(
                "clean-only", {"chain": []}, outputs=[{"format": kind.output, "subtype": kind.subtype}]
            ),
            input_name=source.name,
            workspace=workspace,
            enhancer=IdentityEnhancer(sample_rate=SAMPLE_RATE),
            on_progress=watch,
        )
        job_s = cpu_seconds() - started_s
        [output] = [file for file in result.files if file.role == "enhanced"]
        with output.path.open("rb") as file:
            container = file.read(4).decode("ascii")
        return {
            "input_bytes": source.stat().st_size,
            "output_bytes": output.bytes,
            "output_container": container,
            "frames": soundfile.info(source).frames,
            "output_frames": soundfile.info(output.path).frames,
            "largest_difference": largest_difference(source, output.path),
            "peak_anonymous_mb": round(peak_anonymous / 1e6, 1),
            "peak_memory_mb": round(peak_memory_bytes() / 1e6, 1),
            "cpu_s": round(job_s, 1),
            "cpu_s_per_s": round(job_s * SAMPLE_RATE / frames, 4),
            "warnings": list(result.warnings),
        }


def main() -> None:
    """Measure once and print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=KINDS, default="rf64", help="of the recording (default: rf64)")
    parser.add_argument("--gib", type=float, default=4.1, help="size of the recording in GiB")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where all files lie")
    arguments = parser.parse_args()
    kind = KINDS[arguments.format]
    found = measure(arguments.gib, arguments.folder, kind)
    sys.stdout.write(json.dumps(found) + "\n")
    is_large = found["output_bytes"] > 2**32
    has_its_container = found["output_container"] == kind.large_magic
    if found["largest_difference"] > NULL or (is_large and not has_its_container):
        sys.exit("the result is not the recording")


if __name__ == "__main__":
    main()

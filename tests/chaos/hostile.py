"""`python -m tests.chaos.hostile [--mutations 600] [--seed 0]`: hostile files through the way of a job's recording.

Each file is probed and, if that takes it, decoded to its end, as API and worker do. Prints the counts as JSON. The exit
status is 0 only when every file was read or refused within the time limit, no other error came out, and neither this
process nor the decoders' grew.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from core.audio.decode import AudioReader
from core.audio.decoder_host import SLOWEST_RTF
from core.audio.isolation import DecoderHost, IsolatedDecoder
from core.audio.source import Source
from core.audio.wire import DEFAULT_STALL_S, DecoderLimits
from core.errors import InvalidAudio, UnsupportedMedia
from tests.chaos.hostile_files import HostileFile, hostile_files

MAX_DURATION_S = 3600.0
GROWTH_BYTES = 48 * 1024**2
OVERHEAD_S = 10.0  # of this process, beside the decoder's limits, on a machine that does other things too
WARM_UP_FILES = 50  # the first files load what is loaded once


@dataclass(kw_only=True)
class Verdict:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    longest: str = ""
    growth_bytes: int = 0  # of this process after the warm-up
    host_growth_bytes: int = 0

    @property
    def figures(self) -> dict[str, Any]:
        """What is printed."""
        return {
            "files": self.outcomes.total(),
            "outcomes": dict(self.outcomes),
            "longest_s": round(self.longest_s, 3),
            "longest": self.longest,
            "growth_mib": round(self.growth_bytes / 1024**2, 1),
            "host_growth_mib": round(self.host_growth_bytes / 1024**2, 1),
            "violations": len(self.violations),
        }


def feed(files: Iterable[HostileFile], *, limits: DecoderLimits | None = None) -> Verdict:
    """Give every file to a decoder of its own."""
    verdict = Verdict()
    limits = limits or DecoderLimits()
    host = DecoderHost(limits)
    start_bytes = host_start_bytes = 0
    try:
        for number, file in enumerate(files):
            started = time.monotonic()
            decoded_s = 0.0
            try:
                outcome, decoded_s = _read(file, host)
                verdict.outcomes[outcome] += 1
            except Exception as error:
                verdict.outcomes[type(error).__name__] += 1
                verdict.violations.append(f"{file.name}: {error!r}")
            elapsed_s = time.monotonic() - started
            if elapsed_s > verdict.longest_s:
                verdict.longest_s, verdict.longest = elapsed_s, file.name
            if elapsed_s > limits.stall_s + SLOWEST_RTF * decoded_s + OVERHEAD_S:
                verdict.violations.append(f"{file.name}: took {elapsed_s:.0f} s")
            if number == WARM_UP_FILES:
                start_bytes, host_start_bytes = resident_bytes(os.getpid()), resident_bytes(host.pid)
        if start_bytes:
            verdict.growth_bytes = resident_bytes(os.getpid()) - start_bytes
            verdict.host_growth_bytes = resident_bytes(host.pid) - host_start_bytes
        if max(verdict.growth_bytes, verdict.host_growth_bytes) > GROWTH_BYTES:
            verdict.violations.append("memory grew")
    finally:
        host.close()
    return verdict


def _read(file: HostileFile, host: DecoderHost) -> tuple[str, float]:
    """What became of one file, and the seconds of sound in it; what is neither sound nor a refusal is raised."""

    def open_decoder(source: Source, *, name: str, track: int) -> IsolatedDecoder:
        return IsolatedDecoder(source, name=name, track=track, host=host)

    try:
        with AudioReader(io.BytesIO(file.content), name=file.name, open_with=open_decoder) as reader:
            for _ in reader.blocks():
                if reader.frames_read > MAX_DURATION_S * reader.sample_rate:
                    return "too long", MAX_DURATION_S
            outcome = "read with a warning" if reader.warning else "read"
            return outcome, reader.frames_read / reader.sample_rate
    except (InvalidAudio, UnsupportedMedia) as error:
        return error.code, 0.0


def resident_bytes(pid: int | None) -> int:
    """The process's resident set; 0 when there is none."""
    if pid is None:
        return 0
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Feed the files and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stall", type=float, default=DEFAULT_STALL_S, help="seconds that a decoder may be silent")
    arguments = parser.parse_args()
    files = hostile_files(mutations=arguments.mutations, seed=arguments.seed)
    verdict = feed(files, limits=DecoderLimits(stall_s=arguments.stall))
    sys.stdout.write(json.dumps(verdict.figures, indent=2) + "\n")
    sys.stdout.writelines(f"{line}\n" for line in verdict.violations)
    sys.exit(1 if verdict.violations else 0)


if __name__ == "__main__":
    main()

"""CPU time of alternatives side by side, what this machine could do at most, and how near two results are."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

T = TypeVar("T")

GEMM_SIZE = 1024
GEMM_ATTEMPTS = 12


@dataclass(frozen=True, kw_only=True)
class Timed(Generic[T]):
    """One alternative: the median of its CPU seconds, and what its last run returned."""

    cpu_s: float
    result: T


def interleave(runs: Mapping[str, Callable[[], T]], *, repetitions: int) -> dict[str, Timed[T]]:
    """Run all in turn, `repetitions` times: what else the machine does then falls on all of them alike.

    System calls count, because page faults are part of what memory costs; so do the processes that decode for this one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, T] = {}
    for _ in range(repetitions):
        for name, run in runs.items():
            started = cpu_seconds()
            results[name] = run()
            seconds[name].append(cpu_seconds() - started)
    return {name: Timed(cpu_s=statistics.median(seconds[name]), result=results[name]) for name in runs}


def cpu_seconds() -> float:
    """CPU time of this process and its descendants so far; of the latter to 10 ms, and on Linux only."""
    return time.process_time() + sum(_cpu_seconds_of(pid) for pid in _descendants(os.getpid()))


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found += [int(child), *_descendants(int(child))]
    return found


def _cpu_seconds_of(pid: int) -> float:
    """User and system time of a process and of its children that have ended, from proc(5); 0 when it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def gemm_gflops(dtype: torch.dtype) -> float:
    """The best rate at which this process multiplies square matrices, in 10^9 operations a second: the peak to reach.

    The best of a dozen, because other work on the machine only ever slows it down.
    """
    left = torch.randn(GEMM_SIZE, GEMM_SIZE).to(dtype)
    right = torch.randn(GEMM_SIZE, GEMM_SIZE).to(dtype)
    best_s = math.inf
    with torch.inference_mode():
        for _ in range(GEMM_ATTEMPTS):
            started = time.process_time()
            torch.nn.functional.linear(left, right)
            best_s = min(best_s, time.process_time() - started)
    return 2 * GEMM_SIZE**3 / best_s / 1e9


def snr_db(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    """Level of `expected` over that of the difference in dB; infinity when they are equal."""
    if expected.shape != actual.shape:
        raise ValueError(f"shapes {expected.shape} and {actual.shape} differ")
    wanted = np.square(expected, dtype=np.float64).sum()
    error = np.square(expected.astype(np.float64) - actual).sum()
    return float(10 * np.log10(wanted / error)) if error > 0 else math.inf

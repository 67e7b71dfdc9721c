"""How many threads PyTorch takes for an engine on this machine: measured once, since more of them can be slower."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from core.atomic_files import write_atomically
from core.enhancement.protocol import Enhancer, SignalStatistics

logger = logging.getLogger(__name__)

FILE_NAME = "threads.json"
PROBE_S = 1.0
PROBE_LEVEL = 0.1
TIMED_RUNS = 2
MIN_GAIN = 1.2
"""Twice the threads must be so many times faster: what they gain in a quiet moment they lose when cores are busy."""

Timer = Callable[[Enhancer, int], float]
_CHOICES = TypeAdapter(dict[str, int])


class ThreadChoice:
    """Sets PyTorch's threads for the engine that is about to run.

    `configured` threads where the operator says so. Else the number is measured when an engine first runs, among 1, 2,
    4 and so on up to `most`, the cores that a job may count on, and kept in `folder` for all processes and times to
    come: with other threads sums are made in another order, and the same job is to give the same bytes again.
    """

    def __init__(self, *, configured: int | None, most: int, folder: Path, timer: Timer | None = None) -> None:
        self._configured = configured
        self._most = most
        self._path = folder / FILE_NAME
        self._timer = timer or seconds_of

    def apply(self, engine: Enhancer, *, device: str) -> None:
        """Set the threads of this process for `engine`, which runs on `device`."""
        torch.set_num_threads(self._number(engine, device=device))

    def _number(self, engine: Enhancer, *, device: str) -> int:
        if self._configured is not None:
            return self._configured
        if device != "cpu" or self._most <= 1:
            return 1
        info = engine.info
        name = f"{info.name} {'fast' if info.is_fast else 'standard'} up to {self._most}"
        kept = self._read()
        if name not in kept:
            measured = measure_threads(engine, most=self._most, timer=self._timer)
            # Another process may have been quicker: its choice is this one's too.
            kept = {name: measured, **self._read()}
            self._keep(kept)
            logger.info("threads_chosen", extra={"model": info.name, "threads": kept[name], "cores": self._most})
        return min(max(kept[name], 1), self._most)

    def _read(self) -> dict[str, int]:
        try:
            return _CHOICES.validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}
        except OSError as error:
            logger.warning("threads_not_read", extra={"reason": error.strerror})
            return {}

    def _keep(self, choices: dict[str, int]) -> None:
        try:
            write_atomically(self._path, f"{json.dumps(choices, indent=2)}\n".encode())
        except OSError as error:
            logger.warning("threads_not_kept", extra={"reason": error.strerror})


def measure_threads(engine: Enhancer, *, most: int, timer: Timer) -> int:
    """Return the fewest threads of 1, 2, 4 ... `most` that twice as many do not beat by `MIN_GAIN`."""
    threads, elapsed_s = 1, timer(engine, 1)
    while 2 * threads <= most:
        doubled_s = timer(engine, 2 * threads)
        if elapsed_s < MIN_GAIN * doubled_s:
            break
        threads, elapsed_s = 2 * threads, doubled_s
    return threads


def seconds_of(engine: Enhancer, threads: int) -> float:
    """Return how long `engine` takes for `PROBE_S` of noise with so many threads, once it is warm."""
    torch.set_num_threads(threads)
    info = engine.info
    samples = round(PROBE_S * info.sample_rate)
    noise = np.random.default_rng(0).standard_normal((info.channels, samples))
    wav = (PROBE_LEVEL * noise).astype(np.float32)
    statistics = SignalStatistics(samples=samples, mean=0.0, std=PROBE_LEVEL, peak=float(np.abs(wav).max()))
    elapsed_s = []
    for _ in range(1 + TIMED_RUNS):
        started = time.perf_counter()
        engine.enhance(wav, info.sample_rate, statistics=statistics)
        elapsed_s.append(time.perf_counter() - started)
    return min(elapsed_s[1:])

"""When a queued job will be done: its wait and its own processing, by what this server has measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from core.errors import EnhancerError, StorageError
from core.estimation.benchmark import read_benchmark
from core.estimation.estimate import RECENT_RUNS, Estimate, estimate_run
from core.estimation.history import PastRun, RunHistory
from core.estimation.queue_load import QueueLoad, QueueLoads
from core.jobs import Device, Job
from core.options import EnhanceOptions, resolve_options
from core.settings import Settings

KEPT_S = 5.0
"""What the database says of the queues and of past runs is asked again after this long, however many clients poll."""

Value = TypeVar("Value")


class Forecaster:
    """Forecasts for the queued jobs of a server. Share one per process; it may be used from many threads."""

    def __init__(
        self,
        *,
        loads: QueueLoads,
        history: RunHistory,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loads, self._history, self._settings, self._clock = loads, history, settings, clock
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def eta_s(self, job: Job, *, position: int, now: datetime) -> float | None:
        """Whole seconds until the queued job at `position` in its queue has ended; None where nobody can know.

        That is where no worker is there, or where a recording's length shows only when it is fetched.
        """
        own_s = self._processing_s(job, now=now)
        if own_s is None:
            return None
        load = self._load(job.device, now=now)
        wait_s = load.wait_s(job.lane, position, rtf_of=lambda preset: self._rtf_of(preset, job.device, now=now))
        return None if wait_s is None else float(round(wait_s + own_s))

    def speed(self, options: EnhanceOptions, *, now: datetime) -> Estimate:
        """The estimate for a second of audio on this server's device; without past runs while the database is away."""
        device = Device(self._settings.device)
        try:
            return self._estimate(options, self._runs(options.preset, device, now=now), device)
        except StorageError:
            return self._estimate(options, (), device)

    def _processing_s(self, job: Job, *, now: datetime) -> float | None:
        if job.input.duration_s is None:
            return None
        try:
            options = EnhanceOptions.model_validate(dict(job.options))
        except ValidationError:  # of another version of Limpid; its worker will say so
            return None
        return job.input.duration_s * self._rtf(options, job.device, now=now)

    def _rtf_of(self, preset: str, device: Device, *, now: datetime) -> float:
        """Of the preset as it is without overrides."""
        try:
            options = resolve_options(preset, {}, operator=self._settings.operator_defaults)
        except EnhancerError:  # a preset of another version: it takes what others take, as far as we know
            return 0.0
        return self._kept_or(("rtf", preset, device), lambda: self._rtf(options, device, now=now))

    def _rtf(self, options: EnhanceOptions, device: Device, *, now: datetime) -> float:
        return self._estimate(options, self._runs(options.preset, device, now=now), device).rtf

    def _estimate(self, options: EnhanceOptions, runs: Sequence[PastRun], device: Device) -> Estimate:
        benchmark = None
        if device is Device.CPU:
            benchmark = self._kept_or("benchmark", lambda: read_benchmark(self._settings.data_dir))
        return estimate_run(options, audio_s=1.0, runs=runs, benchmark=benchmark)

    def _runs(self, preset: str, device: Device, *, now: datetime) -> list[PastRun]:
        return self._kept_or(
            ("runs", preset, device),
            lambda: list(self._history.recent(preset, device=device, now=now, limit=RECENT_RUNS)),
        )

    def _load(self, device: Device, *, now: datetime) -> QueueLoad:
        return self._kept_or(("load", device), lambda: self._loads.load(device, now=now))

    def _kept_or(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """What `read` gave less than KEPT_S ago. Threads that ask at the same moment may both read."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and self._clock() - kept[0] < KEPT_S:
            value: Value = kept[1]
            return value
        value = read()
        with self._lock:
            self._kept[key] = (self._clock(), value)
        return value

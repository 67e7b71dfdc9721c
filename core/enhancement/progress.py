"""One fraction for three stages: how far a run is, how fast it goes, how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from core.jobs import Progress, Stage

ProgressSink = Callable[[Stage, Progress], None]
"""Receives every step of a run; may raise JobCancelled or LeaseLost, which stops the run there."""

WITH_MODEL: Mapping[Stage, tuple[float, float]] = {
    Stage.PREPARE: (0.0, 0.1),
    Stage.ENHANCE: (0.1, 0.85),
    Stage.FINISH: (0.85, 1.0),
}
WITHOUT_MODEL: Mapping[Stage, tuple[float, float]] = {
    Stage.PREPARE: (0.0, 0.3),
    Stage.ENHANCE: (0.3, 0.3),
    Stage.FINISH: (0.3, 1.0),
}


class ProgressMeter:
    """Turns the fraction of a stage into a Progress of the whole run; the fraction never falls."""

    def __init__(self, sink: ProgressSink, *, has_model: bool, clock: Callable[[], float] = time.perf_counter) -> None:
        self._sink = sink
        self._spans = WITH_MODEL if has_model else WITHOUT_MODEL
        self._measured_stage = Stage.ENHANCE if has_model else Stage.FINISH
        self._clock = clock
        self._started = clock()
        self.duration_s: float | None = None
        self.latest = Progress()

    @property
    def elapsed_s(self) -> float:
        """Wall-clock seconds since the run began."""
        return self._clock() - self._started

    def update(self, stage: Stage, stage_fraction: float) -> None:
        """Report that `stage_fraction` (0..1) of `stage` is done."""
        start, stop = self._spans[stage]
        fraction = start + (stop - start) * min(max(stage_fraction, 0.0), 1.0)
        fraction = max(fraction, self.latest.fraction)
        processed_s = self.latest.processed_s
        if self.duration_s is not None and stage is self._measured_stage:
            processed_s = max(processed_s, self.duration_s * min(stage_fraction, 1.0))
        elapsed_s = self.elapsed_s
        self.latest = Progress(
            fraction=fraction,
            processed_s=processed_s,
            duration_s=self.duration_s,
            eta_s=elapsed_s * (1 - fraction) / fraction if fraction > 0 else None,
            rtf=elapsed_s / (fraction * self.duration_s) if self.duration_s and fraction > 0 else None,
        )
        self._sink(stage, self.latest)

    def finish(self) -> Progress:
        """The run's last word: everything done, and the real-time factor of the whole."""
        duration_s = self.duration_s or 0.0
        self.latest = Progress(
            fraction=1.0,
            processed_s=duration_s,
            duration_s=duration_s,
            eta_s=0.0,
            rtf=self.elapsed_s / duration_s if duration_s else None,
        )
        return self.latest

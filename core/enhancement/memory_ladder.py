"""What an engine does when its GPU runs out of memory: smaller batches, then the CPU. A job is not lost to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, runtime_checkable

import torch

from core.audio.segments import Segment
from core.enhancement.protocol import (
    Enhancer,
    EnhancerInfo,
    FloatArray,
    ProgressCallback,
    SignalStatistics,
    WatchedEnhancer,
)

logger = logging.getLogger(__name__)


@runtime_checkable
class Shrinkable(Protocol):
    """An engine that can take less at once."""

    def halve_batch(self) -> bool:
        """Take half as much at once from now on; False when that is not possible any more."""
        ...


class MemoryLadder:
    """An engine for one job; a segment that does not fit is done again with half the batch, in the end on the CPU.

    `on_gpu` and `on_cpu` return the same engine on either; the second is asked once at most, and the rest of the job
    stays there. A batch that was halved stays so in the engine, for later jobs too: the card will not grow. `warnings`
    say what was done, after what the engine itself has to say. Out of memory on the CPU as well is for the caller.
    """

    def __init__(self, *, on_gpu: Callable[[], Enhancer], on_cpu: Callable[[], Enhancer]) -> None:
        self._on_cpu = on_cpu
        self._is_on_cpu = False
        self._halvings = 0
        self._segment: Segment | None = None
        self._said_on_gpu: tuple[str, ...] = ()
        engine = None
        with suppress(torch.OutOfMemoryError):
            engine = on_gpu()
        self._engine = self._moved_to_cpu() if engine is None else engine

    @property
    def info(self) -> EnhancerInfo:
        """What the engine states about itself; the same on the CPU."""
        return self._engine.info

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know: of the engine's own, and of this job's memory where it was not enough."""
        return self._said_on_gpu + _said_by(self._engine) + self._memory_warnings()

    def _memory_warnings(self) -> tuple[str, ...]:
        if self._is_on_cpu:
            return ("The GPU's memory was not enough for this job; it was finished on the CPU, which takes longer.",)
        if self._halvings:
            return (f"The GPU's memory was short; the batch was made {2**self._halvings} times smaller.",)
        return ()

    def begin_recording(self) -> None:
        """Pass it on to an engine that wants to know."""
        if isinstance(self._engine, WatchedEnhancer):
            self._engine.begin_recording()

    def begin_segment(self, segment: Segment) -> None:
        """Pass it on to an engine that wants to know, and to the one that may take its place within the segment."""
        self._segment = segment
        if isinstance(self._engine, WatchedEnhancer):
            self._engine.begin_segment(segment)

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        """Return what the engine returns, from the first rung of the ladder that has the memory for it."""
        while True:
            try:
                return self._engine.enhance(wav, sample_rate, statistics=statistics, seed=seed, on_progress=on_progress)
            except torch.OutOfMemoryError:
                if self._is_on_cpu:
                    raise
            # Not inside the handler: the exception's traceback holds the tensors that filled the memory.
            self._step_down()

    def _step_down(self) -> None:
        if isinstance(self._engine, Shrinkable) and self._engine.halve_batch():
            self._halvings += 1
            logger.warning("batch_halved", extra={"model": self.info.name, "halvings": self._halvings})
        else:
            self._said_on_gpu = _said_by(self._engine)
            self._engine = self._moved_to_cpu()
            self._catch_up()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _moved_to_cpu(self) -> Enhancer:
        self._is_on_cpu = True
        engine = self._on_cpu()
        logger.warning("engine_moved_to_cpu", extra={"model": engine.info.name})
        return engine

    def _catch_up(self) -> None:
        """Tell the engine that came in the middle of a recording where that is."""
        self.begin_recording()
        if self._segment is not None:
            self.begin_segment(self._segment)


def _said_by(engine: Enhancer) -> tuple[str, ...]:
    return engine.warnings if isinstance(engine, WatchedEnhancer) else ()

"""Ends a run that takes far longer than its work can take, and says so, instead of letting it go on for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.errors import TimeLimitExceeded
from core.jobs import Progress, Stage

Sink = Callable[[Stage, Progress], None]


class TimeLimit:
    """A progress sink in front of another: raises TimeLimitExceeded at the first report past the limit.

    `limit_s_for` gives the limit in seconds for a recording of so many seconds; it is asked once, when the length is
    known. The time counts from the making of this object. A run that reports nothing at all is the lease's to notice.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        limit_s_for: Callable[[float], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink, self._limit_s_for, self._clock = sink, limit_s_for, clock
        self._began_at = clock()
        self._limit_s: float | None = None

    def __call__(self, stage: Stage, progress: Progress) -> None:
        if self._limit_s is None and progress.duration_s is not None:
            self._limit_s = self._limit_s_for(progress.duration_s)
        elapsed_s = self._clock() - self._began_at
        if self._limit_s is not None and elapsed_s > self._limit_s:
            raise TimeLimitExceeded(
                f"After {elapsed_s:.0f} s the job was {progress.fraction:.0%} done; the limit for "
                f"{progress.duration_s or 0:.1f} s of audio with these options is {self._limit_s:.0f} s. The machine "
                "may be overloaded: try a faster preset, or ask the operator to raise LIMPID_TIME_LIMIT_FACTOR."
            )
        self._sink(stage, progress)

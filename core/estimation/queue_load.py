"""How long a queued job waits: what is ahead of it, shared by the workers that there are. Pure.

Imports no options, as core.estimation.history: the parent process of a worker loads this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from core.jobs import Device, Lane


@dataclass(frozen=True, kw_only=True)
class WaitingJobs:
    """The waiting jobs of one preset in a queue."""

    preset: str
    count: int
    measured: int  # of these, whose recording's duration is known
    audio_s: float  # of those, together


@dataclass(frozen=True, kw_only=True)
class QueueLoad:
    """What one device's workers have before them."""

    workers: Mapping[Lane, int] = field(default_factory=dict)  # live processes that serve the lane
    running: int = 0  # jobs, of every lane
    running_left_s: float = 0.0  # of these, by their own speed so far, together
    waiting: Mapping[Lane, Sequence[WaitingJobs]] = field(default_factory=dict)

    def wait_s(self, lane: Lane, position: int, *, rtf_of: Callable[[str], float]) -> float | None:
        """Seconds until a worker takes the job at `position` (0: it is next) in the lane's queue.

        None where nobody can know: no worker is there, or no recording's duration is known. `rtf_of` is the expected
        processing time per second of audio of a preset. Workers that serve both lanes take from them in turns, so that
        as many jobs of the other lane go before this one as of its own.
        """
        workers = self.workers.get(lane, 0)
        if workers == 0:
            return None
        if position < workers - self.running:
            return 0.0
        ahead_s = self.running_left_s
        for other, jobs in self.waiting.items():
            before = position if other is lane else min(position + 1, sum(group.count for group in jobs))
            if not before or not self.workers.get(other, 0):
                continue
            each_s = mean_s(jobs, rtf_of=rtf_of)
            if each_s is None:
                return None
            ahead_s += before * each_s
        return ahead_s / workers


def mean_s(jobs: Sequence[WaitingJobs], *, rtf_of: Callable[[str], float]) -> float | None:
    """Expected processing seconds of one of these jobs, by those whose duration is known; None when none is."""
    measured = sum(group.measured for group in jobs)
    if not measured:
        return None
    return sum(group.audio_s * rtf_of(group.preset) for group in jobs if group.measured) / measured


class QueueLoads(Protocol):
    """Looks at what waits and runs."""

    def load(self, device: Device, *, now: datetime) -> QueueLoad:
        """What the device's workers have before them."""
        ...

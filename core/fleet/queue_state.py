"""How a queue of jobs and the workers that serve it are doing. Pure; the counting is core.fleet.fleet_sql."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from core.jobs import Device, Lane
from core.queue import job_queue_name

BEAT_INTERVAL_S = 10.0
"""A worker process says this often that it is there."""

LIVE_S = 3.5 * BEAT_INTERVAL_S
"""One that has said nothing for this long is gone."""

STALLED_AFTER_S = 120.0
"""A job that waits this long beside a worker that is idle for this long: the workers do not get their messages."""


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """One queue of jobs, and the live worker processes that serve it."""

    device: Device
    lane: Lane
    waiting: int = 0  # jobs
    waiting_since: datetime | None = None  # of those that may run now, the oldest; None: none may
    running: int = 0  # jobs of this queue that workers have
    workers: int = 0  # processes, each with room for one job
    idle_since: datetime | None = None  # since when the longest idle of them has had nothing to do; None: none is idle

    @property
    def name(self) -> str:
        """Of the queue, such as `cpu.bulk`."""
        return job_queue_name(self.device, self.lane)

    def oldest_age_s(self, *, now: datetime) -> float:
        """Seconds for which the oldest job that may run has waited; 0 when none does."""
        return 0.0 if self.waiting_since is None else max(0.0, (now - self.waiting_since).total_seconds())

    def is_stalled(self, *, now: datetime, after_s: float = STALLED_AFTER_S) -> bool:
        """True when a worker is alive and idle, and yet a job waits that it could run, both for `after_s`.

        A long queue is no stall, nor is one without workers: `has_no_workers` tells of that.
        """
        limit = now - timedelta(seconds=after_s)
        waits = self.waiting_since is not None and self.waiting_since <= limit
        return waits and self.idle_since is not None and self.idle_since <= limit

    def has_no_workers(self, *, now: datetime, after_s: float = STALLED_AFTER_S) -> bool:
        """True when a job has waited for `after_s` and no live worker serves its queue."""
        return self.workers == 0 and self.oldest_age_s(now=now) >= after_s


class WorkerRegistry(Protocol):
    """Where worker processes say that they are there."""

    def beat(
        self,
        name: str,
        *,
        queues: Sequence[str],
        idle_since: datetime | None,
        now: datetime,
        models: Sequence[str] | None = None,
    ) -> None:
        """The process `name` serves `queues`, has `models` installed (None: it does not say), and has been idle since
        `idle_since` (None: it is busy)."""
        ...

    def forget(self, name: str) -> None:
        """The process ends."""
        ...

    def purge(self, *, before: datetime) -> int:
        """Forget the processes that were last seen before this time; how many."""
        ...


class QueueStates(Protocol):
    """Looks at every queue of jobs at once."""

    def states(self, *, now: datetime) -> Sequence[QueueState]:
        """One for each of core.queue.JOB_QUEUES, in that order."""
        ...

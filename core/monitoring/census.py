"""How many jobs and deliveries are in hand: what only the database knows. core.monitoring.census_sql counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.fleet.queue_state import QueueState, QueueStates
from core.jobs import JobStatus

CACHE_S = 5.0
"""A census is asked for by every scrape and every probe; the database answers at most this often."""


@dataclass(frozen=True, kw_only=True)
class JobCount:
    """Jobs of one preset in one state that is no end."""

    status: JobStatus
    preset: str
    count: int


@dataclass(frozen=True, kw_only=True)
class DeliveryBacklog:
    """Webhook deliveries that are not done with."""

    pending: int = 0  # to be sent, or to be sent again
    due_since: datetime | None = None  # of those that may be sent now, the oldest; None: none may

    def oldest_age_s(self, *, now: datetime) -> float:
        """Seconds for which the oldest delivery that is due has waited; 0 when none is due."""
        return 0.0 if self.due_since is None else max(0.0, (now - self.due_since).total_seconds())


class CensusTaker(Protocol):
    """Counts what is in hand, by indices of what is not done, so that history costs nothing."""

    def count_jobs(self) -> Sequence[JobCount]:
        """Jobs that wait or run, everyone's."""
        ...

    def count_deliveries(self, *, now: datetime) -> DeliveryBacklog: ...


@dataclass(frozen=True, kw_only=True)
class Census:
    """Everything that was counted at one moment."""

    taken_at: datetime
    queues: Sequence[QueueState]
    jobs: Sequence[JobCount]
    deliveries: DeliveryBacklog


class RecentCensus:
    """The census of a moment ago; for many threads, of which one counts while the others wait for it.

    `clock` is in seconds, and only tells how old a census is; `now` gives the time that is written into it.
    """

    def __init__(
        self,
        taker: CensusTaker,
        queues: QueueStates,
        *,
        now: Callable[[], datetime],
        max_age_s: float = CACHE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._taker, self._queues = taker, queues
        self._now, self._clock, self._max_age_s = now, clock, max_age_s
        self._lock = threading.Lock()
        self._latest: Census | None = None
        self._counted_at = 0.0

    def get(self) -> Census:
        """A census that is at most `max_age_s` old; StorageError when the database does not answer."""
        with self._lock:
            if self._latest is None or self._clock() - self._counted_at >= self._max_age_s:
                self._latest = self._take()
                self._counted_at = self._clock()
            return self._latest

    def _take(self) -> Census:
        now = self._now()
        return Census(
            taken_at=now,
            queues=self._queues.states(now=now),
            jobs=self._taker.count_jobs(),
            deliveries=self._taker.count_deliveries(now=now),
        )

"""The lease that a run holds: kept alive by a thread, and the place where a run learns that it must stop."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypeVar

from core.errors import EnhancerError, JobCancelled, LeaseLost, TransientError
from core.jobs import Job, JobStatus, Progress, Stage
from core.repository import RunRepository

logger = logging.getLogger(__name__)

HEARTBEATS_PER_LEASE = 3
RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # half a minute, longer than a server's restart

Result = TypeVar("Result")


class RunInterrupted(EnhancerError):
    """Raised inside a run whose worker is shutting down: the job goes back to the queue."""

    code = "interrupted"
    title = "The worker is shutting down"


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class Lease:
    """Holds the lease of the claimed `job` while the context lasts.

    The thread extends the lease three times in `lease_s`. When the database does not answer for so long that the lease
    may have passed to another worker, it counts as lost. So it does when the run stands still: after `stall_s` seconds
    of the `clock` (monotonic) without `report` or `note_progress`, the lease is left to expire, and the sweeper gives
    the job to another worker; a run that moves again later stops at its next `check`.
    """

    def __init__(
        self,
        runs: RunRepository,
        job: Job,
        *,
        lease_s: float,
        progress_interval_s: float,
        is_shutting_down: Callable[[], bool],
        stall_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if job.lease_token is None:
            raise ValueError(f"Job {job.id} has not been claimed.")
        self.token = job.lease_token
        self._runs, self._job_id = runs, job.id
        self._lease_s, self._progress_interval_s = lease_s, progress_interval_s
        self._is_shutting_down = is_shutting_down
        self._valid_until = time.monotonic() + lease_s
        self._next_report = -float("inf")
        self._stall_s, self._clock = stall_s, clock
        self._progressed_at = clock()
        self._is_cancelled = threading.Event()
        self._is_lost = threading.Event()
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name=f"lease-{job.id}", daemon=True)

    def check(self) -> None:
        """Raise LeaseLost, JobCancelled or RunInterrupted when the run must stop."""
        if self._is_lost.is_set():
            raise LeaseLost("Another worker has taken this job.")
        if self._is_cancelled.is_set():
            raise JobCancelled("The job was cancelled.")
        if self._is_shutting_down():
            raise RunInterrupted("The worker is shutting down.")

    def report(self, stage: Stage, progress: Progress) -> None:
        """Store how far the run is, at most once in the interval; raises as `check` does."""
        self.note_progress()
        self.check()
        if time.monotonic() < self._next_report:
            return
        self._next_report = time.monotonic() + self._progress_interval_s
        try:
            status = self._runs.report_progress(self._job_id, lease_token=self.token, stage=stage, progress=progress)
        except TransientError:
            # Progress is a courtesy; whether the run may go on is the heartbeat's to decide.
            logger.warning("progress_not_stored", extra={"job_id": self._job_id}, exc_info=True)
            return
        self._learn(status)
        self.check()

    def note_progress(self) -> None:
        """Tell the watchdog that the run gets on, where there is no figure to report: a fetch, a loaded model."""
        self._progressed_at = self._clock()

    def persist(self, write: Callable[[], Result]) -> Result:
        """The result of `write`, which is tried again after transient faults, for half a minute at most.

        For what makes or ends a run: a moment without database or object store must not cost the whole work.
        """
        for delay_s in RETRY_DELAYS_S:
            try:
                return write()
            except TransientError:
                logger.warning("trying_again", extra={"job_id": self._job_id, "delay_s": delay_s}, exc_info=True)
            if self._is_lost.wait(delay_s):
                raise LeaseLost("Another worker has taken this job.")
        return write()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()
        self._thread.join()

    def _keep_alive(self) -> None:
        while not self._has_ended.wait(self._lease_s / HEARTBEATS_PER_LEASE):
            stalled_s = self._clock() - self._progressed_at
            if stalled_s >= self._stall_s:
                logger.error("run_stalled", extra={"job_id": self._job_id, "stalled_s": round(stalled_s)})
                self._lose()
                return
            asked_at = time.monotonic()
            try:
                status = self._runs.extend_lease(
                    self._job_id, lease_token=self.token, lease_s=self._lease_s, now=utc_now()
                )
            except LeaseLost:
                self._lose()
                return
            except Exception:
                # Whatever is wrong may pass; the lease is ours until it expires.
                logger.warning("heartbeat_failed", extra={"job_id": self._job_id}, exc_info=True)
                if time.monotonic() >= self._valid_until:
                    self._lose()
                    return
            else:
                self._valid_until = asked_at + self._lease_s
                self._learn(status)

    def _learn(self, status: JobStatus) -> None:
        if status is JobStatus.CANCELLING:
            self._is_cancelled.set()

    def _lose(self) -> None:
        if not self._has_ended.is_set():  # a run that has just ended gives its lease up
            logger.warning("lease_lost", extra={"job_id": self._job_id})
            self._is_lost.set()

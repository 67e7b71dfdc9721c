"""One job, from claim to end. Knows the ports; knows nothing of Celery."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from core.errors import JobCancelled, LeaseLost, TransientError
from core.jobs import Job, OutputFile
from core.monitoring.log_context import log_context
from core.monitoring.tracing import Attributes, span
from core.queue import job_queue_name
from core.repository import RunRepository
from core.run_policy import is_out_of_attempts, retry_delay_s
from core.settings import Settings
from worker.failures import INTERNAL_ERROR, problem_of
from worker.lease import Lease, RunInterrupted, utc_now
from worker.observer import NobodyWatches, RunEnd, RunOutcome, WorkerObserver
from worker.outputs import delete_attempts
from worker.processing import Processor

if TYPE_CHECKING:
    from core.enhancement.pipeline import PipelineResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobRunner:
    """Runs jobs, one at a time, in this process."""

    runs: RunRepository
    processor: Processor
    settings: Settings
    worker: str  # who claims, for the operator to read
    is_shutting_down: Callable[[], bool]
    busy: threading.Lock = field(default_factory=threading.Lock)  # held while a job runs
    observer: WorkerObserver = field(default_factory=NobodyWatches)

    def run(self, job_id: str) -> None:
        """Claim the job whose turn it is in the queue of `job_id` and bring it to an end; nothing to do when none is.

        Raises StorageError when the database stays away for longer than Lease.persist waits: the lease expires then,
        and the sweeper queues the job again.
        """
        with self.busy:
            job = self.runs.claim(job_id, worker=self.worker, lease_s=self.settings.lease_s, now=utc_now())
            if job is None:
                logger.info("no_job_to_run", extra={"job_id": job_id})
                return
            about: Attributes = {"limpid.job_id": job.id, "limpid.attempt": job.attempt, "limpid.preset": job.preset}
            name = f"run {job_queue_name(job.device, job.lane)}"
            with (
                log_context(job_id=job.id, attempt=job.attempt),
                span(name, about, kind=SpanKind.CONSUMER, parent=job.traceparent) as current,
            ):
                end = self._run_claimed(job)
                current.set_attribute("limpid.outcome", end.outcome.value)

    def _run_claimed(self, job: Job) -> RunEnd:
        logger.info("job_started")
        self.observer.run_started(job, waited_s=(utc_now() - job.created_at).total_seconds())
        lease = Lease(
            self.runs,
            job,
            lease_s=self.settings.lease_s,
            progress_interval_s=self.settings.progress_interval_s,
            is_shutting_down=self.is_shutting_down,
            stall_s=self.settings.stall_s,
        )
        try:
            with lease:
                end = self._execute(job, lease)
        except LeaseLost:
            # Whose outputs are whose is now for the other worker and the sweeper to know.
            logger.warning("job_left_to_another_worker")
            end = RunEnd(job=job, outcome=RunOutcome.LEASE_LOST)
        else:
            unused = job.attempt - 1 if end.outcome is RunOutcome.SUCCEEDED else job.attempt
            delete_attempts(self.processor.store, job.id, attempts=unused)
        self.observer.run_ended(end)
        return end

    def _execute(self, job: Job, lease: Lease) -> RunEnd:
        """Work and write the end. Raises LeaseLost when the end is not this run's to write."""
        try:
            result, outputs = self.processor.process(job, lease)
            lease.persist(lambda: self._succeed(job, lease.token, result, outputs))
        except LeaseLost:
            raise
        except Exception as error:
            return self._end_without_result(job, lease, error)
        return RunEnd(job=job, outcome=RunOutcome.SUCCEEDED, report=result.report)

    def _end_without_result(self, job: Job, lease: Lease, error: Exception) -> RunEnd:
        try:
            return lease.persist(lambda: self._write_end(job, lease.token, error))
        except JobCancelled:  # a moment ago, so that no other end is allowed
            return lease.persist(lambda: self._write_end(job, lease.token, JobCancelled()))

    def _write_end(self, job: Job, lease_token: str, error: Exception) -> RunEnd:
        now = utc_now()
        if isinstance(error, JobCancelled):
            self.runs.confirm_cancelled(job.id, lease_token=lease_token, now=now)
            logger.info("job_cancelled", extra={"job_id": job.id})
            return RunEnd(job=job, outcome=RunOutcome.CANCELLED)
        if isinstance(error, RunInterrupted):
            self.runs.release(job.id, lease_token=lease_token, now=now, counts_as_attempt=False)
            logger.info("job_given_back", extra={"job_id": job.id})
            return RunEnd(job=job, outcome=RunOutcome.INTERRUPTED)
        if isinstance(error, TransientError) and not is_out_of_attempts(job, max_attempts=self.settings.max_attempts):
            delay_s = retry_delay_s(job.attempt)
            self.runs.release(job.id, lease_token=lease_token, now=now, counts_as_attempt=True, retry_after_s=delay_s)
            logger.warning("job_put_off", extra={"job_id": job.id, "delay_s": delay_s}, exc_info=error)
            return RunEnd(job=job, outcome=RunOutcome.PUT_OFF)
        problem = problem_of(error)
        self.runs.fail(job.id, lease_token=lease_token, error=problem, now=now)
        is_foreseen = problem is not INTERNAL_ERROR
        logger.log(
            logging.WARNING if is_foreseen else logging.ERROR,
            "job_failed",
            extra={"job_id": job.id, "code": problem.code, "detail": problem.detail},
            exc_info=None if is_foreseen else error,
        )
        return RunEnd(job=job, outcome=RunOutcome.FAILED, code=problem.code)

    def _succeed(self, job: Job, lease_token: str, result: PipelineResult, outputs: list[OutputFile]) -> None:
        now = utc_now()
        self.runs.succeed(
            job.id,
            lease_token=lease_token,
            outputs=outputs,
            report=finite_json(result.report),
            warnings=result.warnings,
            progress=result.progress,
            now=now,
            expires_at=now + timedelta(seconds=self.settings.retention_s),
        )
        logger.info("job_succeeded", extra={"job_id": job.id, "rtf": result.progress.rtf})


def finite_json(value: Any) -> Any:  # noqa: ANN401 - JSON is any of seven types
    """`value` with None for infinite numbers and NaN, which JSON does not have: the level of silence, for one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(item) for item in value]
    return value

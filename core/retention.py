"""Use cases: how long files are kept, and what is left of a job that is deleted."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime

from core.errors import Conflict, Expired, TransientError
from core.jobs import Job, JobStatus
from core.object_keys import job_prefix
from core.repository import JobRepository, RetentionRepository
from core.storage import ObjectStore

logger = logging.getLogger(__name__)


def check_not_expired(job: Job, *, now: datetime) -> None:
    """Expired when the job's files are no longer kept, whether or not they are removed yet."""
    if job.purged_at is not None or (job.expires_at is not None and job.expires_at <= now):
        raise Expired(f"The job's files were kept until {job.expires_at:%Y-%m-%d %H:%M:%S} UTC. Submit it again.")


def delete_job(
    job: Job, *, jobs: JobRepository, retention: RetentionRepository, store: ObjectStore, now: datetime
) -> None:
    """Remove a job's files and leave a tombstone. A queued job is cancelled first.

    Conflict when it runs: cancel it, and delete it once it has stopped, so that no worker writes behind our back. A
    store that does not answer is no error: the files are due, and `expire_jobs` removes them later.
    """
    if job.status is JobStatus.QUEUED:
        with suppress(Conflict):  # it has ended since it was looked at
            jobs.request_cancel(job.id, now=now)
    retention.delete(job.id, now=now)
    logger.info("job_deleted", extra={"job_id": job.id})
    _purge(job.id, retention=retention, store=store, now=now)


def expire_jobs(retention: RetentionRepository, store: ObjectStore, *, now: datetime) -> int:
    """Remove the files of jobs that are deleted or kept long enough; return of how many.

    Safe to run from many processes at once, and to break off at any point. Stops at the first fault of the store.
    """
    purged = 0
    for job_id in retention.list_expired(now=now):
        if not _purge(job_id, retention=retention, store=store, now=now):
            break
        purged += 1
    return purged


def _purge(job_id: str, *, retention: RetentionRepository, store: ObjectStore, now: datetime) -> bool:
    try:
        store.delete_prefix(job_prefix(job_id))
        retention.mark_purged(job_id, now=now)
    except TransientError as error:
        logger.warning("files_not_removed", extra={"job_id": job_id, "reason": error.detail})
        return False
    logger.info("files_removed", extra={"job_id": job_id})
    return True

"""The in-memory adapter of core.batches' port; held to the same contract as the real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from core.batches.batch import Batch, BatchItem, RefusedItem
from core.errors import NotFound
from core.jobs import Job, JobStatus, OutputFile
from tests.fakes import FakeJobRepository


class FakeBatchRepository:
    """Batches in a dictionary, beside the jobs of a FakeJobRepository."""

    def __init__(self, jobs: FakeJobRepository) -> None:
        self._jobs = jobs
        self._batches: dict[str, Batch] = {}

    def add(self, batch: Batch) -> None:
        self._batches[batch.id] = batch

    def refuse(self, batch_id: str, items: Sequence[RefusedItem], *, now: datetime) -> None:
        self._batches[batch_id] = replace(self._batches[batch_id], refused=tuple(items))

    def get(self, batch_id: str) -> Batch:
        if batch_id not in self._batches:
            raise NotFound("There is no such batch.")
        jobs = tuple(_item_of(job, job.batch.position) for job in self._jobs_of(batch_id) if job.batch)
        return replace(self._batches[batch_id], jobs=jobs)

    def outputs(self, batch_id: str) -> Mapping[str, Sequence[OutputFile]]:
        return {job.id: list(job.outputs) for job in self._jobs_of(batch_id) if job.outputs}

    def request_cancel(self, batch_id: str, *, now: datetime) -> None:
        for job in self._jobs_of(batch_id):
            if job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
                self._jobs.request_cancel(job.id, now=now)

    def abandon(self, batch_id: str, *, now: datetime) -> None:
        self.request_cancel(batch_id, now=now)
        self._batches[batch_id] = replace(self._batches[batch_id], webhook=None)

    def announce_lost(self, *, now: datetime) -> int:
        raise AssertionError("The fake has no outbox: events are tested on the real repositories.")

    def _jobs_of(self, batch_id: str) -> Sequence[Job]:
        jobs = [(job.batch.position, job) for job in self._jobs.every() if job.batch and job.batch.id == batch_id]
        return [job for _, job in sorted(jobs, key=lambda entry: entry[0])]


def _item_of(job: Job, position: int) -> BatchItem:
    return BatchItem(
        position=position,
        job_id=job.id,
        name=job.input.name,
        status=job.status,
        fraction=job.progress.fraction,
        duration_s=job.input.duration_s,
        input_bytes=job.input.bytes,
        input_sha256=job.input.sha256,
        problem=job.error,
        expires_at=job.expires_at,
        purged_at=job.purged_at,
        deleted_at=job.deleted_at,
    )

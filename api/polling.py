"""Waiting for a job's news without holding a thread: the row is read again and again until it says something new."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from api.schemas import JobView
from core.access.keys import Caller
from core.estimation.forecast import Forecaster
from core.jobs import Job, JobStatus
from core.repository import JobRepository
from core.services import find_job

POLL_INTERVAL_S = 0.5
MAX_WAIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class JobReader:
    """Reads jobs as clients see them. One per process: the forecasts are shared by all who poll."""

    jobs: JobRepository
    forecaster: Forecaster

    def view(self, job: Job) -> JobView:
        """The job; blocks while its place in the queue is counted."""
        if job.status is not JobStatus.QUEUED:
            return JobView.of(job, queue_position=0)
        position = self.jobs.queue_position(job)
        eta_s = self.forecaster.eta_s(job, position=position, now=datetime.now(UTC))
        return JobView.of(replace(job, progress=replace(job.progress, eta_s=eta_s)), queue_position=position)

    def following(self, job_id: str, caller: Caller) -> Callable[[], JobView]:
        """A function that reads the job afresh; it blocks."""
        return lambda: self.view(find_job(job_id, jobs=self.jobs, caller=caller))


@dataclass(frozen=True, kw_only=True)
class JobDocument:
    """A job as JSON, and the tag of this very text."""

    view: JobView
    body: bytes
    etag: str

    @classmethod
    def of(cls, view: JobView) -> JobDocument:
        body = view.model_dump_json(by_alias=True).encode()
        return cls(view=view, body=body, etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')


async def wait_for_job(
    request: Request,
    read: Callable[[], JobView],
    *,
    is_awaited: Callable[[JobDocument], bool],
    wait_s: float,
) -> JobDocument:
    """The job as `read` (which blocks) gives it, at the latest after `wait_s` seconds, earlier once `is_awaited`.

    Also returns when the client has gone, and when the server is about to stop: the client asks the next one.
    """
    deadline = time.monotonic() + wait_s
    while True:
        document = JobDocument.of(await run_in_threadpool(read))
        left_s = 0.0 if request.app.state.is_stopping else deadline - time.monotonic()
        if is_awaited(document) or left_s <= 0 or await request.is_disconnected():
            return document
        await asyncio.sleep(min(POLL_INTERVAL_S, left_s))

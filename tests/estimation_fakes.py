"""What estimates rest on, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.estimation.history import PastRun
from core.estimation.history_sql import WINDOW
from core.estimation.queue_load import QueueLoad
from core.ids import first_id_at
from core.jobs import Device, JobStatus
from tests.fakes import FakeJobRepository


class FakeQueueLoads:
    """Tells `answer`, at first that no worker is there; counts how often it is asked."""

    def __init__(self, answer: QueueLoad | None = None) -> None:
        self.answer = answer or QueueLoad()
        self.asked = 0

    def load(self, device: Device, *, now: datetime) -> QueueLoad:
        self.asked += 1
        return self.answer


class FakeRunHistory:
    """Looks at the jobs of a fake repository."""

    def __init__(self, jobs: FakeJobRepository) -> None:
        self._jobs = jobs

    def recent(self, preset: str, *, device: Device, now: datetime, limit: int) -> Sequence[PastRun]:
        self._jobs.check()
        jobs = [
            job
            for job in sorted(self._jobs.every(), key=lambda job: job.id, reverse=True)
            if job.id >= first_id_at(now - WINDOW)
            and (job.preset, job.device, job.status) == (preset, device, JobStatus.SUCCEEDED)
            and job.deleted_at is None
        ]
        return [PastRun(options=job.options, rtf=job.progress.rtf) for job in jobs if job.progress.rtf][:limit]
